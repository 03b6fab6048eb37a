"""Another program changes the file, or those beside it, while the exporter has it open."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from exporter.errors import StartError
from exporter.storage import open_files
from tests.storage.child import poll
from tests.storage.examples import TODAY, StorageFile, by_slice, some

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FIRST = some(1, day=TODAY - timedelta(2))
SECOND = some(2, day=TODAY - timedelta(1))
THIRD = some(3, day=TODAY)
PAGE = 4096


def overwrite(file: Path, content: bytes) -> None:
    """As `cp` does: the file stays the same one."""
    with file.open("r+b") as opened:
        opened.truncate(0)
        opened.write(content)


async def move_wal_into_file(storage_file: StorageFile) -> None:
    """Open and close it, so that the first slice is in the file and not in its -wal."""
    await storage_file.put(FIRST, *(some(day=TODAY - timedelta(ago), rows=200) for ago in range(3, 12)))


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda _: b"",
    "cut to a page": lambda content: content[:PAGE],
    "cut in half": lambda content: content[: len(content) // 2],
    "notes": lambda _: b"somebody's notes\n" * 100,
    "zeros": lambda content: bytes(len(content)),
    "a page of zeros": lambda content: content[: 3 * PAGE] + bytes(PAGE) + content[4 * PAGE :],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("is_side_file_gone", [False, True], ids=["", "and the -wal removed"])
async def test_nothing_is_written_to_a_file_that_is_overwritten_in_place(
    storage_file: StorageFile, change: str, *, is_side_file_gone: bool
) -> None:
    await move_wal_into_file(storage_file)
    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            await storage.save([SECOND])
            content = CHANGES[change](storage_file.path.read_bytes())
            overwrite(storage_file.path, content)
            if is_side_file_gone:
                storage_file.path.with_name("state.db-wal").unlink()
            await storage.save([THIRD])
            await storage.save([THIRD])
            assert storage_file.meter.failures == 2

    assert storage_file.path.read_bytes() == content, "nor as the exporter ends"
    assert [entry["event"] for entry in logs] == ["storage failing", "unsaved data at exit"]
    assert "another program has" in logs[0]["error"]
    assert "restart the exporter" in logs[0]["advice"]
    assert os.listdir(storage_file.path.parent) == ["state.db"]  # noqa: PTH208 - names alone
    if not content:
        assert await storage_file.everything() == ()
    else:
        with pytest.raises(StartError):
            await storage_file.everything()


@pytest.mark.parametrize("is_wal_overwritten", [False, True])
async def test_a_valid_file_of_another_journal_mode_is_left_alone(
    storage_file: StorageFile, tmp_path_factory: pytest.TempPathFactory, *, is_wal_overwritten: bool
) -> None:
    """As `VACUUM INTO` makes it: it has no -wal, and that of the file before must not be applied to it."""
    copy = tmp_path_factory.mktemp("copy") / "copy.db"
    await move_wal_into_file(storage_file)
    async with storage_file.opened() as storage:
        with closing(sqlite3.connect(storage_file.path)) as elsewhere:
            elsewhere.execute("VACUUM INTO ?", [str(copy)])
        await storage.save([SECOND])
        overwrite(storage_file.path, copy.read_bytes())
        if is_wal_overwritten:
            overwrite(storage_file.path.with_name("state.db-wal"), b"")
        await storage.save([THIRD])
        assert storage_file.meter.failures == 1

    assert storage_file.path.read_bytes() == copy.read_bytes()
    stored = by_slice(await storage_file.everything())
    assert stored[FIRST.slice] == by_slice([FIRST])[FIRST.slice]
    assert SECOND.slice not in stored


async def test_a_lost_wal_beside_a_removed_shm_is_no_reason_to_write(storage_file: StorageFile) -> None:
    await move_wal_into_file(storage_file)
    content = storage_file.path.read_bytes()
    async with storage_file.opened() as storage:
        await storage.save([SECOND])
        overwrite(storage_file.path.with_name("state.db-wal"), b"")
        storage_file.path.with_name("state.db-shm").unlink()
        await storage.save([THIRD])
        assert storage_file.meter.failures == 1

    assert storage_file.path.read_bytes() == content
    assert FIRST.slice in by_slice(await storage_file.everything())


async def test_the_files_of_another_exporter_in_a_new_directory_stay(storage_file: StorageFile) -> None:
    folder = storage_file.path.parent
    async with contextlib.AsyncExitStack() as stack:
        async with storage_file.opened() as storage:
            await storage.save([FIRST])
            folder.rename(folder.with_name("away"))
            folder.mkdir()
            other = await stack.enter_async_context(StorageFile(storage_file.path).opened())
            await other.save([SECOND])
        assert {path.name for path in folder.iterdir()} == {f"state.db{each}" for each in ("", "-wal", "-shm", "-lock")}
        await other.save([THIRD])

    assert by_slice(await storage_file.everything()) == by_slice([SECOND, THIRD])


async def test_writing_continues_when_the_file_is_put_back_in_place(storage_file: StorageFile) -> None:
    await move_wal_into_file(storage_file)
    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            content = storage_file.path.read_bytes()
            await storage.save([SECOND])
            overwrite(storage_file.path, b"")
            await storage.save([some(4, day=TODAY)])
            overwrite(storage_file.path, content)
            await storage.save([THIRD])

    assert [entry["event"] for entry in logs] == ["storage failing", "storage recovered"]
    stored = by_slice(await storage_file.everything())
    assert {data: stored[data] for data in by_slice([FIRST, SECOND, THIRD])} == by_slice([FIRST, SECOND, THIRD])


@pytest.mark.parametrize(
    "statements",
    [
        "PRAGMA wal_checkpoint",
        "PRAGMA wal_checkpoint(RESTART)",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "VACUUM",
        "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)",
        "DELETE FROM calls",
        "PRAGMA wal_checkpoint(RESTART); DELETE FROM calls",
        "PRAGMA wal_checkpoint(TRUNCATE); DELETE FROM calls",
        "PRAGMA journal_size_limit = 0; PRAGMA wal_checkpoint(RESTART); DELETE FROM calls",
    ],
)
async def test_what_sqlite_does_in_another_process_is_no_failure(storage_file: StorageFile, statements: str) -> None:
    """It knows of the exporter, and changes the file consistently."""
    await move_wal_into_file(storage_file)
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
    async with storage_file.opened() as storage:
        for each in (SECOND, THIRD):
            await storage.save([each])
            with closing(sqlite3.connect(storage_file.path, isolation_level=None)) as elsewhere:
                elsewhere.executescript(statements)
            os.utime(storage_file.path, (1, 1))
        await storage.save([THIRD])
        await storage.save([THIRD])

    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208 - names alone
    assert storage_file.meter.failures == 0
    stored = by_slice(await storage_file.everything())
    assert {data: stored[data] for data in by_slice([FIRST, SECOND, THIRD])} == by_slice([FIRST, SECOND, THIRD])


@pytest.mark.parametrize("content", [b"", b"notes", None], ids=["emptied", "notes", "random"])
async def test_a_wal_that_is_overwritten_costs_only_what_it_held(
    storage_file: StorageFile, content: bytes | None
) -> None:
    await move_wal_into_file(storage_file)
    wal = storage_file.path.with_name("state.db-wal")
    with capture_logs() as logs:
        async with storage_file.opened() as storage:
            await storage.save([SECOND])
            overwrite(wal, os.urandom(wal.stat().st_size) if content is None else content)
            await storage.save([THIRD])
            await storage.save([some(4, day=TODAY)])
            assert storage_file.meter.failures == 1

    assert [entry["event"] for entry in logs] == ["storage failing", "storage recovered"]
    assert "its -wal was changed: what was written last may be lost" in logs[0]["error"]
    stored = by_slice(await storage_file.everything())
    assert SECOND.slice not in stored
    assert {data: stored[data] for data in by_slice([FIRST, THIRD])} == by_slice([FIRST, some(4, day=TODAY)])


@pytest.mark.parametrize("moments", [(0,), (1,), (0, 1)], ids=["before", "after", "throughout"])
async def test_a_wal_that_cannot_be_read_now_is_not_a_changed_one(
    storage_file: StorageFile, monkeypatch: pytest.MonkeyPatch, moments: tuple[int, ...]
) -> None:
    """File descriptors may run out for a while."""
    reads = iter(range(100))
    read = open_files._head  # noqa: SLF001 - what fails is below all that is public
    async with storage_file.opened() as storage:
        await storage.save([FIRST])
        monkeypatch.setattr(open_files, "_head", lambda wal: None if next(reads) in moments else read(wal))
        for each in (SECOND, THIRD):
            await storage.save([each])

    assert storage_file.meter.failures == 0
    assert by_slice(await storage_file.everything()) == by_slice([FIRST, SECOND, THIRD])


def test_a_shm_that_is_cut_does_not_kill_the_process(storage_file: StorageFile) -> None:
    """SQLite maps it into memory; in a process of its own, which a signal would end."""
    command = [sys.executable, "-m", "tests.storage.child", "cut", str(storage_file.path)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)

    assert done.returncode == 0
    seen = json.loads(done.stdout)
    assert seen["failures"] == 4
    assert [entry["event"] for entry in seen["logs"]] == ["storage failing", "storage recovered"] * 4


async def test_after_cuts_of_the_shm_all_data_is_stored(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        await storage.save(poll(1))
        os.truncate(storage_file.path.with_name("state.db-shm"), 4096)
        await storage.save([THIRD])
        assert by_slice(await storage.load(date.min)) == by_slice([*poll(1), THIRD])
