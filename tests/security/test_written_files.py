"""Files that the exporter writes: only their owner has access under any umask, and links of others are not followed."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.errors import StartError
from exporter.storage.file import locked
from tests.e2e.processes import PATIENCE, exporter, get, until

if TYPE_CHECKING:
    from collections.abc import Iterator

US, THEM = 65_533, 65_534
LISTEN = "--web.listen-address=127.0.0.1:0"
CONFIGURATION = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
queries:
  - {{name: q, media: {{top: 3}}, days_ago: 1}}
"""


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A permissive umask, which children inherit."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_every_written_file_is_accessible_to_its_owner_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    work = tmp_path / "work"
    work.mkdir(mode=0o700)
    with exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator:
        config = tmp_path / "config.yaml"
        config.write_text(CONFIGURATION.format(endpoint=simulator.url()))
        config.chmod(0o600)
        state = f"--storage.path={work}/state.db"
        with exporter(tmp_path, "serve", LISTEN, state) as daemon:
            until(lambda: get(f"{daemon.url()}/-/ready").is_success, "the first poll")
            until((work / "state.db-wal").exists, "something in storage")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in work.iterdir()}
            assert modes == dict.fromkeys(("state.db", "state.db-wal", "state.db-shm", "state.db-lock"), 0o600)
            assert daemon.stop() == 0
        # No result is lost if the output is a link: the link itself is replaced.
        (work / "kept").write_text("kept")
        (work / "history.txt").symlink_to("kept")
        backfill = (sys.executable, "-m", "exporter", "backfill", "--days=4", f"--output={work}/history.txt")
        done = subprocess.run(
            [*backfill, "--overwrite"], cwd=tmp_path, check=False, capture_output=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
    written = work / "history.txt"
    assert not written.is_symlink()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert (work / "kept").read_text() == "kept"
    assert {path.name for path in work.iterdir()} == {"state.db", "history.txt", "kept"}


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory like /tmp; the test runs as one of two unprivileged users."""
    if os.geteuid():
        pytest.skip("only root can be two users")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o1777)
        os.seteuid(US)
        try:
            yield folder
        finally:
            os.seteuid(0)


@contextlib.contextmanager
def them() -> Iterator[None]:
    """Run the block as another user."""
    os.seteuid(0)
    os.seteuid(THEM)
    try:
        yield
    finally:
        os.seteuid(0)
        os.seteuid(US)


@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "state.db-shm", "state.db-journal", "state.db-lock"])
def test_a_file_that_another_user_has_created_is_not_used(name: str, shared: Path) -> None:
    with them():
        (shared / name).touch(0o666)
        (shared / name).chmod(0o666)
    with pytest.raises(StartError) as caught, locked(shared / "state.db"):
        pass
    assert f"everyone may put files there, and {name} belongs to another user" in str(caught.value)
    assert {path.name for path in shared.iterdir()} == {name}


def test_a_link_that_another_user_has_created_is_not_followed(shared: Path) -> None:
    ours = shared / "ours"
    ours.mkdir(mode=0o700)
    with them():
        (shared / "state.db").symlink_to(ours / "new")
    with pytest.raises(StartError, match=r"state\.db belongs to another user"), locked(shared / "state.db"):
        pass
    assert list(ours.iterdir()) == []


def test_own_files_and_links_are_used(shared: Path) -> None:
    (shared / "link").symlink_to("state.db")
    for _ in range(2):
        with locked(shared / "link") as real:
            assert real.name == "state.db"
            assert stat.S_IMODE(real.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o660, 0o666])
def test_an_existing_mode_is_kept(mode: int, tmp_path: Path) -> None:
    """As set by fsGroup of Kubernetes, or by a file system with fixed modes."""
    path = tmp_path / "state.db"
    path.touch()
    path.chmod(mode)
    with locked(path):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_world_writable_volume_is_not_a_shared_directory(shared: Path) -> None:
    """Volumes are, and the user of a container may change while its group may still write."""
    os.seteuid(0)
    shared.chmod(0o777)
    (shared / "state.db").touch()
    (shared / "state.db").chmod(0o666)
    os.chown(shared / "state.db", THEM, THEM)
    os.seteuid(US)
    with locked(shared / "state.db"):
        pass
