"""Secret files: which are read, rejected or warned of, including the mounts of Kubernetes."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.secret_files import permission_warnings, read, read_secret, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 1000
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def private(tmp_path: Path) -> Path:
    """A directory that no other user can change, whatever the umask."""
    tmp_path.chmod(0o700)
    return tmp_path


def made(path: Path, mode: int = 0o600, content: bytes = b"hush") -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def problems_of(path: Path, *, is_secret: bool = True) -> list[str]:
    return [warning.what for warning in permission_warnings(path, is_secret=is_secret)]


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def _directory(path: Path) -> None:
    path.mkdir()


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_pipe, _socket, _directory, _endless])
def test_a_special_file_is_rejected_without_blocking(
    make: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    make(Path("secret"))
    with pytest.raises(OSError, match="it is not a regular file"):
        read(Path("secret"), most=MOST)


def test_an_endless_file_takes_no_memory(tmp_path: Path) -> None:
    path = made(tmp_path / "secret")
    os.truncate(path, 10 * 1024**3)
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match="it is larger than 1000 bytes"):
            read(path, most=MOST)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1024**2


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    content = os.urandom(MOST)
    assert read_secret(made(tmp_path / "secret", content=content), most=MOST) == content


def test_an_impossible_file_name_raises_the_same_error() -> None:
    with pytest.raises(OSError, match="it is not a usable path"):
        read(Path("a\0b"), most=MOST)
    assert problems_of(Path("a\0b")) == []


@pytest.mark.parametrize("mode", [0o602, 0o606, 0o646, 0o666, 0o777])
def test_a_world_writable_file_is_rejected_as_a_secret(mode: int, tmp_path: Path) -> None:
    path = made(tmp_path / "secret", mode)
    assert read(path, most=MOST).world_writable
    with pytest.raises(OSError, match="everyone may write to it, so do not trust it; run chmod 600 on it"):
        read_secret(path, most=MOST)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o644, 0o660, 0o664])
def test_a_file_that_is_not_world_writable_is_read(mode: int, tmp_path: Path) -> None:
    path = made(tmp_path / "secret", mode)
    assert read_secret(path, most=MOST) == b"hush"
    assert not read(path, most=MOST).world_writable


@pytest.mark.usefixtures("shared_group")
@pytest.mark.parametrize(
    ("mode", "readers", "writers"),
    [
        (0o400, "", ""),
        (0o600, "", ""),
        (0o640, "", ""),
        (0o644, "everyone may read it (mode 0644)", ""),
        (0o444, "everyone may read it (mode 0444)", ""),
        (0o660, "", "its group may write to it (mode 0660)"),
        (0o664, "everyone may read it (mode 0664)", "its group may write to it (mode 0664)"),
        (0o666, "everyone may read it (mode 0666)", "everyone may write to it (mode 0666)"),
    ],
)
def test_files_that_others_may_read_or_write_cause_a_warning(
    mode: int, readers: str, writers: str, tmp_path: Path
) -> None:
    path = made(tmp_path / "secret", mode)
    assert problems_of(path) == [
        *([writers] if writers else []),
        *([f"it holds a secret, and {readers}"] if readers else []),
    ]
    assert problems_of(path, is_secret=False) == ([writers] if writers else [])


def test_the_group_that_a_user_has_alone_is_no_other_user(tmp_path: Path, group_named: Callable[..., None]) -> None:
    """Where every user has such a group, the umask is often 0002: Debian 13, Ubuntu."""
    path = made(tmp_path / "config.yaml", 0o664)
    for members in ((), ("vod",)):
        group_named("vod", *members)
        assert problems_of(path, is_secret=False) == []
    path.chmod(0o666)
    assert problems_of(path, is_secret=False) == ["everyone may write to it (mode 0666)"]


@pytest.mark.parametrize(
    ("group", "more"),
    [
        pytest.param(["vod", "vod", "other"], {}, id="another member"),
        pytest.param(["video"], {}, id="another name"),
        pytest.param(["vod"], {"primary": 4711}, id="not the primary group"),
        pytest.param(["vod"], {"owner": 0}, id="of root"),
    ],
)
def test_a_group_that_others_may_be_in_is_reported(
    group: list[str], more: dict[str, int], tmp_path: Path, group_named: Callable[..., None]
) -> None:
    group_named(*group, **more)
    assert problems_of(made(tmp_path / "f", 0o660)) == ["its group may write to it (mode 0660)"]


def test_a_group_of_unknown_users_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, with files of the host's users."""
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert problems_of(made(tmp_path / "f", 0o660)) == ["its group may write to it (mode 0660)"]


def test_a_warning_names_the_file_and_the_fix(tmp_path: Path) -> None:
    path = made(tmp_path / "access_key_secret", 0o644)
    (warning,) = permission_warnings(path)
    assert str(warning) == (
        f"{path}: it holds a secret, and everyone may read it (mode 0644). Run chmod 600 on it, or 640 for the"
        " exporter's group; in Kubernetes, mount it with defaultMode: 0440."
    )


def test_control_characters_in_a_file_name_are_not_shown(tmp_path: Path) -> None:
    (warning,) = permission_warnings(made(tmp_path / "\x1b[31m", 0o644))
    assert "\x1b" not in str(warning)


@pytest.mark.parametrize(("mode", "causes_warning"), [(0o700, False), (0o775, False), (0o1777, False), (0o777, True)])
def test_a_world_writable_directory_causes_a_warning(mode: int, causes_warning: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter of the table
    shared, below = tmp_path / "shared", tmp_path / "shared" / "below"
    below.mkdir(parents=True)
    path = made(below / "secret")
    shared.chmod(mode)
    expected_warnings = [f"everyone may put another file in its place, because of the directory {shared}"]
    assert problems_of(path) == (expected_warnings if causes_warning else [])
    # A user who can replace the link or its target can replace the secret.
    link = tmp_path / "link"
    link.symlink_to(path)
    assert problems_of(link) == (expected_warnings if causes_warning else [])
    elsewhere = shared / "link"
    elsewhere.symlink_to(made(tmp_path / "own"))
    assert problems_of(elsewhere) == (expected_warnings if causes_warning else [])


def test_a_missing_file_causes_no_warning(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert problems_of(tmp_path / "none") == []
    assert problems_of(tmp_path / "circle") == []


def kubernetes(volume: Path, mode: int, generation: str) -> None:
    """Lay out a secret as kubelet's AtomicWriter does: files in a folder with a date, links to it that are renamed."""
    volume.mkdir(exist_ok=True)
    volume.chmod(0o1777)
    dated = volume / f"..{generation}"
    dated.mkdir()
    dated.chmod(0o755)
    made(dated / "access_key_secret", mode, generation.encode())
    (volume / "..data_tmp").symlink_to(dated.name)
    (volume / "..data_tmp").replace(volume / "..data")
    if not (volume / "access_key_secret").is_symlink():
        (volume / "access_key_secret").symlink_to("..data/access_key_secret")


@pytest.mark.parametrize("mode", [0o440, 0o644])
def test_a_kubernetes_secret_is_read_through_its_links_and_again_when_it_is_replaced(mode: int, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    for generation in ("2024_01", "2024_02"):
        kubernetes(volume, mode, generation)
        assert read_secret(volume / "access_key_secret", most=MOST) == generation.encode()
    assert len(problems_of(volume / "access_key_secret")) == (mode == 0o644)


@pytest.mark.parametrize("mode", [0o440, 0o644, 0o777])
def test_a_read_only_mount_is_neither_rejected_nor_warned_of(mode: int, tmp_path: Path) -> None:
    """Docker Desktop shows files of Windows as 0777; and a ConfigMap's directory is 0777 without the sticky bit."""
    volume, program = tmp_path / "volume", tmp_path / "program.py"
    volume.mkdir()
    program.write_text(
        "import sys; from pathlib import Path; from exporter.secret_files import *\n"
        "path = Path(sys.argv[1]); print(read_secret(path, most=99).decode(), *permission_warnings(path))\n"
    )
    script = (
        'set -e; mount -t tmpfs -o mode=777 none "$1"; echo hush >"$1/secret"; chmod "$2" "$1/secret"\n'
        'if [ "$5" = ro ]; then mount -o remount,ro "$1"; fi; exec "$3" "$4" "$1/secret"'
    )

    def run_check(how: str) -> subprocess.CompletedProcess[str]:
        values = (str(volume), f"{mode:o}", sys.executable, str(program), how)
        argv = ("unshare", "--mount", "--map-root-user", "--user", "sh", "-c", script, "sh", *values)
        return subprocess.run(
            argv, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )

    done = run_check("ro")
    if done.returncode and "Traceback" not in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert (done.stdout, done.stderr) == ("hush\n\n", "")
    writable = run_check("rw")
    assert "because of the directory" in writable.stdout or "everyone may write to it" in writable.stderr


def test_a_changed_or_replaced_file_has_another_state_even_with_the_times_of_before(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("one")
    before = path.stat()
    state = state_of(path)
    assert state_of(path) == state

    time.sleep(0.05)  # the kernel's times are those of its last tick
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = state_of(path)
    other = tmp_path / "other"
    other.write_text("two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)

    assert len({state, changed, state_of(path)}) == 3
