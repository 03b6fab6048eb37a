from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.errors import StartError
from tests.storage.examples import Place, some

if TYPE_CHECKING:
    from collections.abc import Generator

NOBODY = 65534
ROOT = Path(__file__).parents[2]


async def refused(place: Place) -> str:
    with pytest.raises(StartError) as caught:
        async with place.opened():
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def test_nobody_else_may_read_it(place: Place) -> None:
    before = os.umask(0)
    try:
        async with place.opened() as storage:
            await storage.save([some()])
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.path.parent.iterdir()}
    finally:
        os.umask(before)

    assert modes == dict.fromkeys(["state.db", "state.db-lock", "state.db-shm", "state.db-wal"], 0o600)


async def test_one_file_is_left_when_it_is_closed(place: Place) -> None:
    await place.put(some())

    assert list(files(place.path.parent)) == ["state.db"]


async def test_a_symbolic_link_leads_to_the_file_and_its_lock(place: Place) -> None:
    link = Place(place.path.with_name("link"))
    link.path.symlink_to(place.path)
    await link.put(some())

    assert link.path.is_symlink()
    assert await place.everything() == (some(),)
    async with place.opened():
        assert "another exporter uses it" in await refused(link)


async def test_an_empty_file_is_new(place: Place) -> None:
    place.path.touch()
    await place.put(some())

    assert await place.everything() == (some(),)


@pytest.mark.parametrize(
    "content",
    [b"a text file\n" * 20, b"x", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(84), bytes(4096)],
    ids=["text", "byte", "cut", "header", "zeros"],
)
async def test_what_is_not_ours_is_refused_and_left_alone(place: Place, content: bytes) -> None:
    place.path.write_bytes(content)

    assert "is not a file of aliyun-vod-exporter; it was left as it is. Choose another" in await refused(place)
    assert files(place.path.parent) == {"state.db": content}


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
async def test_another_programs_database_is_refused_and_left_alone(place: Place, journal: str) -> None:
    with closing(sqlite3.connect(place.path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.execute("INSERT INTO bookmarks VALUES ('x')")
        connection.commit()
        connection.execute("INSERT INTO bookmarks VALUES ('not committed')")
        before = files(place.path.parent)

        assert "not a file of aliyun-vod-exporter" in await refused(place)
        assert files(place.path.parent) == before


async def test_a_directory_is_refused_with_a_file_to_name(place: Place) -> None:
    message = await refused(Place(place.path.parent))

    assert "this is a directory. Name a file in it: --storage.path=" in message


async def test_a_missing_directory_is_named(place: Place) -> None:
    message = await refused(Place(place.path.parent / "gone" / "state.db"))

    assert message.endswith("gone. Create it first.")


async def test_a_pipe_is_refused_without_waiting_for_its_other_end(place: Place) -> None:
    os.mkfifo(place.path)

    assert "not a regular file" in await refused(place)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/proc/state.db", "cannot use it: "),  # where not even root may write
        ("/proc/version", "cannot use it: "),
        ("/tmp/" + "x" * 300, "cannot use it: File name too long"),  # noqa: S108 - never made
        ("a\0b", "no usable path"),
    ],
    ids=["directory", "file", "long", "nul"],
)
async def test_a_path_that_cannot_be_used_is_said_so(path: str, reason: str) -> None:
    message = await refused(Place(Path(path)))

    assert reason in message
    assert "Choose another --storage.path" in message


@contextlib.contextmanager
def nobodys_folder() -> Generator[Path]:
    """A folder of somebody who is not root, and being that somebody: root may write everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        if os.getuid() != 0:
            yield Path(folder)
            return
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


@pytest.mark.parametrize("mode", [0o400, 0o000])
async def test_a_file_that_may_not_be_written_is_refused(place: Place, mode: int) -> None:
    await place.put(some())  # whatever has to be imported may not be readable for everybody
    await refused(Place(place.path.parent / "nothing" / "there"))
    with nobodys_folder() as folder:
        theirs = Place(folder / "state.db")
        await theirs.put(some())
        theirs.path.chmod(mode)

        assert "cannot use it: Permission denied" in await refused(theirs)


async def test_symbolic_links_in_a_circle_are_refused(place: Place) -> None:
    place.path.symlink_to(place.path)

    assert await refused(place)


async def test_somebodys_own_file_of_the_locks_name_is_kept(place: Place) -> None:
    lock = place.path.with_name("state.db-lock")
    lock.write_text("mine")
    await place.put(some())

    assert lock.read_text() == "mine"


async def test_the_second_in_one_process_is_refused_and_the_first_goes_on(place: Place) -> None:
    async with place.opened() as storage:
        assert "another exporter uses it. Stop the other exporter" in await refused(place)
        await storage.save([some()])

    assert await place.everything() == (some(),)


async def test_of_many_that_come_and_go_one_holds_it_at_a_time(place: Place) -> None:
    holding = 0
    held = 0

    async def come_and_go() -> None:
        nonlocal holding, held
        for _ in range(40):
            with contextlib.suppress(StartError):
                async with place.opened():
                    holding += 1
                    assert holding == 1
                    held += 1
                    await asyncio.sleep(0)
                    holding -= 1

    await asyncio.gather(*(come_and_go() for _ in range(3)))
    assert held


async def test_a_file_that_another_program_has_locked_is_refused(place: Place) -> None:
    await place.put(some())
    with closing(sqlite3.connect(place.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("DELETE FROM calls")

        assert "another program has locked it. Stop what uses it." in await refused(place)


async def test_a_side_file_that_cannot_be_made_is_said_so(place: Place) -> None:
    await place.put(some())
    place.path.with_name("state.db-wal").mkdir()

    assert "cannot use it: unable to open database file. Look at its disk" in await refused(place)


async def test_another_process_is_refused_until_the_first_is_killed(place: Place) -> None:
    first = subprocess.Popen(  # noqa: ASYNC220 - a test waits for nothing else
        [sys.executable, "-m", "tests.storage.child", "hold", place.path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with first:
        assert first.stdout
        assert first.stdout.readline() == "holding\n"
        message = await refused(place)
        first.send_signal(signal.SIGKILL)

    assert "another exporter uses it" in message
    assert await place.everything() == (some(),)
