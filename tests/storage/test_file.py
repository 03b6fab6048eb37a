from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from exporter.errors import StartError
from exporter.storage.file import locked
from tests.storage.examples import StorageFile, files, mounted, some, unwritable_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ROOT = Path(__file__).parents[2]


async def refused(storage_file: StorageFile) -> str:
    with pytest.raises(StartError) as caught:
        async with storage_file.opened():
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_only_the_owner_may_read_the_file(storage_file: StorageFile) -> None:
    before = os.umask(0)
    try:
        async with storage_file.opened() as storage:
            await storage.save([some()])
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in storage_file.path.parent.iterdir()}
    finally:
        os.umask(before)

    assert modes == dict.fromkeys(["state.db", "state.db-lock", "state.db-shm", "state.db-wal"], 0o600)


async def test_one_file_is_left_after_closing(storage_file: StorageFile) -> None:
    await storage_file.put(some())

    assert list(files(storage_file.path.parent)) == ["state.db"]


async def test_a_symbolic_link_leads_to_the_file_and_its_lock(storage_file: StorageFile) -> None:
    link = StorageFile(storage_file.path.with_name("link"))
    link.path.symlink_to(storage_file.path)
    await link.put(some())

    assert link.path.is_symlink()
    assert await storage_file.everything() == (some(),)
    async with storage_file.opened():
        assert "another exporter uses it" in await refused(link)


async def test_an_empty_file_is_new(storage_file: StorageFile) -> None:
    storage_file.path.touch()
    await storage_file.put(some())

    assert await storage_file.everything() == (some(),)


@pytest.mark.parametrize(
    "content",
    [b"a text file\n" * 20, b"x", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(84), bytes(4096)],
    ids=["text", "byte", "cut", "header", "zeros"],
)
async def test_a_file_of_another_program_is_refused_unchanged(storage_file: StorageFile, content: bytes) -> None:
    storage_file.path.write_bytes(content)

    assert "is not a file of aliyun-vod-exporter; it was left as it is. Choose another" in await refused(storage_file)
    assert files(storage_file.path.parent) == {"state.db": content}


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
async def test_a_database_of_another_program_is_refused_unchanged(storage_file: StorageFile, journal: str) -> None:
    with closing(sqlite3.connect(storage_file.path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.execute("INSERT INTO bookmarks VALUES ('x')")
        connection.commit()
        connection.execute("INSERT INTO bookmarks VALUES ('not committed')")
        before = files(storage_file.path.parent)

        assert "not a file of aliyun-vod-exporter" in await refused(storage_file)
        assert files(storage_file.path.parent) == before


async def test_a_directory_is_refused_with_a_proposed_file(storage_file: StorageFile) -> None:
    message = await refused(StorageFile(storage_file.path.parent))

    assert "this is a directory. Name a file in it: --storage.path=" in message


async def test_a_missing_directory_is_named(storage_file: StorageFile) -> None:
    message = await refused(StorageFile(storage_file.path.parent / "gone" / "state.db"))

    assert message.endswith("gone. Create it first.")


async def test_a_pipe_is_refused_without_waiting_for_its_other_end(storage_file: StorageFile) -> None:
    os.mkfifo(storage_file.path)

    assert "not a regular file" in await refused(storage_file)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/proc/state.db", "cannot use it: "),  # where not even root may write
        ("/proc/version", "cannot use it: "),
        ("/tmp/" + "x" * 300, "cannot use it: File name too long"),  # noqa: S108 - never made
        ("a\0b", "not a usable path"),
    ],
    ids=["directory", "file", "long", "nul"],
)
async def test_an_unusable_path_is_refused_with_the_reason(path: str, reason: str) -> None:
    message = await refused(StorageFile(Path(path)))

    assert reason in message
    assert "Choose another --storage.path" in message


@pytest.mark.parametrize("mode", [0o400, 0o000])
async def test_a_file_that_is_not_writable_is_refused(storage_file: StorageFile, mode: int) -> None:
    await storage_file.put(some())  # whatever has to be imported may not be readable for everybody
    await refused(StorageFile(storage_file.path.parent / "nothing" / "there"))
    with unwritable_folder() as folder:
        theirs = StorageFile(folder / "state.db")
        await theirs.put(some())
        theirs.path.chmod(mode)

        assert "cannot use it: Permission denied" in await refused(theirs)


async def test_symbolic_links_in_a_circle_are_refused(storage_file: StorageFile) -> None:
    storage_file.path.symlink_to(storage_file.path)

    assert await refused(storage_file)


async def test_a_foreign_file_with_the_name_of_the_lock_is_kept(storage_file: StorageFile) -> None:
    lock = storage_file.path.with_name("state.db-lock")
    lock.write_text("mine")
    await storage_file.put(some())

    assert lock.read_text() == "mine"


async def test_a_second_storage_in_one_process_is_refused_and_the_first_keeps_working(
    storage_file: StorageFile,
) -> None:
    async with storage_file.opened() as storage:
        assert "another exporter uses it. Stop the other exporter" in await refused(storage_file)
        await storage.save([some()])

    assert await storage_file.everything() == (some(),)


async def test_of_many_concurrent_openers_one_has_the_file_at_a_time(storage_file: StorageFile) -> None:
    holding = 0
    held = 0

    async def come_and_go() -> None:
        nonlocal holding, held
        for _ in range(40):
            with contextlib.suppress(StartError):
                async with storage_file.opened():
                    holding += 1
                    assert holding == 1
                    held += 1
                    await asyncio.sleep(0)
                    holding -= 1

    await asyncio.gather(*(come_and_go() for _ in range(3)))
    assert held


async def test_a_file_that_another_program_has_locked_is_refused(storage_file: StorageFile) -> None:
    await storage_file.put(some())
    with closing(sqlite3.connect(storage_file.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("DELETE FROM calls")

        assert "another program has locked it. Stop what uses it." in await refused(storage_file)


async def test_a_side_file_that_cannot_be_created_is_named(storage_file: StorageFile) -> None:
    await storage_file.put(some())
    storage_file.path.with_name("state.db-wal").mkdir()

    assert "state.db-wal is not a regular file. Move that away." in await refused(storage_file)


async def test_another_process_is_refused_until_the_first_is_killed(storage_file: StorageFile) -> None:
    first = subprocess.Popen(  # noqa: ASYNC220 - a test waits for nothing else
        [sys.executable, "-m", "tests.storage.child", "hold", storage_file.path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with first:
        assert first.stdout
        assert first.stdout.readline() == "holding\n"
        message = await refused(storage_file)
        first.send_signal(signal.SIGKILL)

    assert "another exporter uses it" in message
    assert await storage_file.everything() == (some(),)


def linked(file: Path, name: Path) -> None:
    """Another name for the same file."""
    name.parent.mkdir()
    name.hardlink_to(file)


def bound(file: Path, name: Path) -> None:
    """The same file, mounted elsewhere, as into a container."""
    name.parent.mkdir()
    name.touch()
    mounted("--bind", file, name)


@pytest.mark.parametrize("again", [linked, bound])
async def test_another_process_is_refused_by_any_name_of_the_file(
    storage_file: StorageFile, again: Callable[[Path, Path], None]
) -> None:
    await storage_file.put(some())
    other = StorageFile(storage_file.path.parent / "elsewhere" / "other.db")
    again(storage_file.path, other.path)
    try:
        with holding(storage_file) as first:
            message = await refused(other)
            # Files that an older exporter or a cleanup may have removed do not block the start.
            storage_file.path.with_name("state.db-lock").unlink()
            assert "another exporter uses it" in await refused(storage_file)
            first.kill()
        assert "another exporter uses it. Stop the other exporter" in message
    finally:
        if again is bound:
            subprocess.run(["umount", other.path], check=True)  # noqa: ASYNC221 - a test waits for nothing else


async def test_a_file_that_replaces_the_first_is_not_opened_beside_it(storage_file: StorageFile) -> None:
    await storage_file.put(some(1))
    copy = StorageFile(storage_file.path.with_name("copy.db"))
    await copy.put(some(2))
    with holding(storage_file) as first:
        copy.path.rename(storage_file.path)
        assert "another exporter uses it" in await refused(storage_file)
        first.terminate()


async def test_a_file_that_was_not_closed_opens_by_the_same_name_only(storage_file: StorageFile) -> None:
    await storage_file.put(some(5))
    other = StorageFile(storage_file.path.with_name("other.db"))
    other.path.hardlink_to(storage_file.path)
    with holding(storage_file) as first:
        first.kill()

    assert "it was last used as " in (message := await refused(other))
    assert f"Use one name only: --storage.path={storage_file.path}, and remove the other." in message
    assert await storage_file.everything() == (some(),)
    assert await other.everything() == (some(),)


async def test_the_lock_of_the_file_does_not_overlap_those_of_sqlite(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        with closing(sqlite3.connect(storage_file.path)) as reader:
            assert reader.execute("SELECT count(*) FROM slice").fetchone() == (0,)
            await storage.save([some()])
            assert reader.execute("SELECT count(*) FROM slice").fetchone() == (1,)


@contextlib.contextmanager
def holding(storage_file: StorageFile) -> Generator[subprocess.Popen[str]]:
    """Another process that uses the file; ended by the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.child", "hold", storage_file.path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == "holding\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A disk with almost no space."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted("-t", "tmpfs", "-o", "size=256k", "tmpfs", disk)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("free", [0, 4096, 36_864])
async def test_a_disk_that_is_full_at_the_start_is_reported(small_disk: Path, free: int) -> None:
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - free)

    message = await refused(StorageFile(small_disk / "state.db"))

    assert "No space left on device. Free space on its disk, or choose another --storage.path." in message


async def test_a_read_only_disk_is_reported(small_disk: Path) -> None:
    await StorageFile(small_disk / "state.db").put(some())
    mounted("-o", "remount,ro", small_disk)

    for name in ("state.db", "new.db"):
        assert "Read-only file system. Choose another --storage.path, or mount" in await refused(
            StorageFile(small_disk / name)
        )


@pytest.mark.parametrize(("name", "as_shown"), [("数据", "数据"), ("a\x1b[2J", r"a\x1b[2J")])
def test_a_path_is_shown_as_it_is_unless_it_could_control_a_terminal(tmp_path: Path, name: str, as_shown: str) -> None:
    with pytest.raises(StartError) as caught, locked(tmp_path / name / "state.db"):
        pass

    assert as_shown in str(caught.value)
    assert str(caught.value).isprintable()
