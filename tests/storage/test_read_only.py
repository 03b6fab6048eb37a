from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from exporter.core.model import Dimensions
from exporter.errors import StartError
from exporter.storage.migrations import MIGRATIONS
from exporter.storage.read_only import Examined, examine
from tests.storage.examples import NOON, TODAY, YESTERDAY, StorageFile, files, mounted, some, unwritable_folder
from tests.storage.stored import read_slices, read_totals

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

WEB, IOS = Dimensions("Web"), Dimensions(os="iOS")
DAY = 86_400.0


async def test_the_total_of_the_newest_day_that_has_one_is_read(storage_file: StorageFile) -> None:
    await storage_file.put(
        some(rows=2, day=YESTERDAY),
        some(rows=9, day=date(2024, 3, 1)),
        replace(some(day=TODAY), total=None),
        some(rows=4, day=TODAY, dimensions=WEB, at=NOON + DAY),
        replace(some(dimensions=Dimensions(os="Android")), total=None),
        some(rows=5, day=date(2024, 3, 2), dimensions=IOS),
        some(rows=1, dimensions=IOS, at=NOON - DAY),  # counted while the day lasted
    )

    assert read_totals(storage_file.path, date.max) == {
        ("main", Dimensions()): 2,
        ("main", WEB): 4,
        ("main", IOS): 5,
    }
    assert read_totals(storage_file.path, TODAY) == {("main", Dimensions()): 2, ("main", IOS): 5}
    assert read_totals(storage_file.path, date(2024, 3, 2)) == {("main", Dimensions()): 9}


async def test_a_file_is_read_while_a_daemon_writes_it_and_afterwards(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        await storage.save([some(1), some(1, day=TODAY)])
        assert read_totals(storage_file.path, date.max) == {("main", Dimensions()): 3}
        assert read_slices(storage_file.path, TODAY) == (some(1, day=TODAY),)
        await storage.save([some(2)])
        assert read_slices(storage_file.path, date.min) == (some(2), some(1, day=TODAY))
    assert storage_file.meter.failures == 0
    assert read_slices(storage_file.path, date.min) == (some(2), some(1, day=TODAY))


async def test_reading_changes_nothing_and_the_next_daemon_removes_side_files(storage_file: StorageFile) -> None:
    await storage_file.put(some())
    before = storage_file.path.read_bytes()
    read_slices(storage_file.path, date.min)
    assert storage_file.path.read_bytes() == before

    async with storage_file.opened():
        pass
    assert {path.name for path in storage_file.path.parent.iterdir()} == {"state.db"}


async def test_file_names_may_contain_characters_with_a_meaning_in_uris(tmp_path: Path) -> None:
    storage_file = StorageFile(tmp_path / "a?mode=rwc&x#y %20.db")
    await storage_file.put(some())

    assert read_slices(storage_file.path, date.min) == (some(),)


@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_or_empty_file_has_no_data(tmp_path: Path, *, empty: bool) -> None:
    path = tmp_path / "state.db"
    if empty:
        path.touch()

    assert read_totals(path, date.max) == {}
    assert read_slices(path, date.min) == ()
    assert path.exists() is empty


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database at all\n" * 100)

    with pytest.raises(StartError, match="not a file of aliyun-vod-exporter"):
        read_totals(path, date.max)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE slice (slice_id)")

    with pytest.raises(StartError, match="not a file of aliyun-vod-exporter"):
        read_totals(path, date.max)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="this is a directory"):
        read_totals(tmp_path, date.max)


async def test_another_version_is_refused(storage_file: StorageFile) -> None:
    async with storage_file.opened(migrations=[*MIGRATIONS, lambda _: None]):
        pass

    with pytest.raises(StartError, match="its version is 3, this exporter knows versions up to 2"):
        read_totals(storage_file.path, date.max)


TOTALS = {("main", Dimensions()): 3}


@pytest.fixture
def snapshot(tmp_path: Path) -> Generator[Path]:
    """A folder that becomes read-only, as a snapshot of a volume is mounted, when it is mounted onto itself."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", folder], check=False, capture_output=True)


def frozen(folder: Path) -> None:
    mounted("--bind", folder, folder)
    mounted("-o", "remount,bind,ro", folder)


@pytest.mark.parametrize("beside", [(), ("-wal",), ("-wal", "-shm"), ("-shm",)])
async def test_a_snapshot_of_a_volume_is_read_unchanged(
    storage_file: StorageFile, snapshot: Path, beside: tuple[str, ...]
) -> None:
    await storage_file.put(some())
    async with storage_file.opened() as storage:
        if "-wal" in beside:
            await storage.save([some(2)])  # what is in the -wal alone
        for suffix in ("", *beside):
            shutil.copy(f"{storage_file.path}{suffix}", snapshot)
    frozen(snapshot)
    before = files(snapshot)
    path = snapshot / "state.db"

    found = examine(path, TODAY)

    assert found.totals == TOTALS
    (warning,) = found.warnings
    assert (
        warning == f"storage {path}: nothing can be written there, so it was read as a copy; serve would not start"
        " with it"
    )
    assert read_slices(path, date.min) == (some(2 if "-wal" in beside else 1),)
    assert files(snapshot) == before


async def test_a_copy_without_write_permission_is_read_too(storage_file: StorageFile) -> None:
    await storage_file.put(some())  # whatever has to be imported may not be readable for everybody
    with unwritable_folder() as folder:
        theirs = folder / "state.db"
        await StorageFile(theirs).put(some())
        theirs.chmod(0o400)
        folder.chmod(0o500)

        assert examine(theirs, TODAY).totals == TOTALS
        folder.chmod(0o700)
        with pytest.raises(StartError, match="it may be read but not written"):
            examine(theirs, TODAY)
        theirs.chmod(0o600)
        folder.chmod(0o500)
        with pytest.raises(StartError, match="cannot use it: Permission denied"):
            examine(theirs, TODAY)
        folder.chmod(0o700)


async def test_an_empty_file_that_is_not_writable_is_refused(storage_file: StorageFile) -> None:
    await storage_file.put(some())  # whatever has to be imported may not be readable for everybody
    examine(storage_file.path, TODAY)
    with unwritable_folder() as folder:
        (folder / "state.db").touch(0o400)

        with pytest.raises(StartError, match="cannot use it: Permission denied"):
            examine(folder / "state.db", TODAY)


@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_file_is_announced_as_to_be_created(tmp_path: Path, *, empty: bool) -> None:
    path = tmp_path / "nope.db"
    if empty:
        path.touch()

    assert examine(path, TODAY) == Examined(
        warnings=(f"storage {path}: there is no such file yet; serve will create it",)
    )
    assert path.exists() is empty


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", "-lock"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
async def test_what_serve_could_not_create_beside_a_missing_file_is_refused_by_both(
    suffix: str, make: Callable[[Path], None], storage_file: StorageFile
) -> None:
    make(storage_file.path.with_name(f"{storage_file.path.name}{suffix}"))
    with pytest.raises(StartError, match=f"{suffix} is not a regular file. Move that away"):
        examine(storage_file.path, TODAY)
    with pytest.raises(StartError, match=f"{suffix} is not a regular file. Move that away"):
        await storage_file.put(some())


async def test_a_file_in_use_is_examined_beside_its_exporter(storage_file: StorageFile) -> None:
    async with storage_file.opened() as storage:
        await storage.save([some()])
        assert examine(storage_file.path, TODAY) == Examined(TOTALS)


@pytest.mark.parametrize("what", ["UPDATE part SET answers = x'00'", "UPDATE calls SET calls = 7"])
async def test_a_check_finds_the_corruption_that_a_daemon_would_find(storage_file: StorageFile, what: str) -> None:
    async with storage_file.opened() as storage:
        await storage.save([some()])
        storage.record_calls("main", TODAY, 1)
    with closing(sqlite3.connect(storage_file.path)) as connection, connection:
        connection.execute(what)

    with pytest.raises(StartError, match="the file is damaged"):
        examine(storage_file.path, TODAY)


async def test_inconsistent_pages_are_found(storage_file: StorageFile) -> None:
    await storage_file.put(*(some(plays, rows=400) for plays in range(3)))
    with storage_file.path.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(4096))

    with pytest.raises(StartError, match="the file is damaged"):
        examine(storage_file.path, TODAY)
