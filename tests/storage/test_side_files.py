"""A -wal or -journal of another database, or a damaged one, is refused, and neither file is changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from exporter.errors import StartError
from exporter.storage.read_only import examine
from tests.storage.examples import TODAY, YESTERDAY, StorageFile, files, some
from tests.storage.stored import read_slices

if TYPE_CHECKING:
    from pathlib import Path

KEPT = some(1)


@pytest.fixture
async def wal(storage_file: StorageFile) -> Path:
    await storage_file.put(KEPT)
    return storage_file.path.with_name("state.db-wal")


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def of_another_program(folder: Path, page_size: int = 4096, rows: int = 2000) -> bytes:
    path = folder / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [["x" * 50]] * rows)
        connection.commit()
        return path.with_name("other.db-wal").read_bytes()


async def of_another_exporter(folder: Path) -> bytes:
    """The last changes of a larger file."""
    other = StorageFile(folder / "other.db")
    await other.put(*(some(2, day=YESTERDAY - timedelta(days), rows=50) for days in range(20)))
    async with other.opened() as storage:
        await storage.save([some(3, day=TODAY, rows=50)])
        return other.path.with_name("other.db-wal").read_bytes()


async def check_refused(storage_file: StorageFile, reason: str) -> None:
    """Every way to open the file fails; the file is valid without its side file."""
    before = {
        name: data for name, data in files(storage_file.path.parent).items() if not name.endswith(("-shm", "-lock"))
    }
    errors = []
    with pytest.raises(StartError) as caught:
        async with storage_file.opened():
            pass
    errors.append(str(caught.value))
    for read in (read_slices, examine):
        with pytest.raises(StartError) as caught:
            read(storage_file.path, date.min)
        errors.append(str(caught.value))
    assert len(set(errors)) == 1
    (beside,) = before.keys() - {"state.db"}
    storage_file_in, _, rest = errors[0].partition(": ")
    assert storage_file_in == f"storage {storage_file.path}"
    assert rest.startswith(
        f"{storage_file.path.with_name(beside)} {reason}; both files were left as they are. Move that one"
    )
    after = files(storage_file.path.parent)
    assert {name: after[name] for name in before} == before
    for suffix in ("-wal", "-shm", "-journal"):
        storage_file.path.with_name(f"state.db{suffix}").unlink(missing_ok=True)
    assert await storage_file.everything() == (KEPT,)


@pytest.mark.parametrize(("page_size", "rows"), [(4096, 2000), (4096, 3), (1024, 2000), (65536, 3)])
async def test_a_wal_of_another_program_is_refused(
    storage_file: StorageFile, wal: Path, tmp_path_factory: pytest.TempPathFactory, page_size: int, rows: int
) -> None:
    write(wal, of_another_program(tmp_path_factory.mktemp("other"), page_size, rows))
    await check_refused(storage_file, "belongs to another database, or to another copy of this one")


async def test_a_wal_of_another_exporter_is_refused(
    storage_file: StorageFile, wal: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write(wal, await of_another_exporter(tmp_path_factory.mktemp("other")))
    await check_refused(storage_file, "belongs to another database, or to another copy of this one")


@pytest.mark.parametrize("damage", ["text", "short", "no magic", "version", "checksum", "no header"])
async def test_a_wal_that_sqlite_would_pass_over_and_overwrite_is_refused(
    storage_file: StorageFile, wal: Path, tmp_path_factory: pytest.TempPathFactory, damage: str
) -> None:
    good = of_another_program(tmp_path_factory.mktemp("other"))
    write(
        wal,
        {
            "text": b"somebody's notes\n" * 100,
            "short": good[:31],
            "no magic": b"\0" * 4 + good[4:],
            "version": good[:7] + b"\0" + good[8:],
            "checksum": good[:31] + bytes([good[31] ^ 1]) + good[32:],
            "no header": b"\0" * 32 + good[32:],
        }[damage],
    )
    await check_refused(storage_file, "is damaged or not of SQLite")


@pytest.mark.parametrize("content", [b"", bytes(32), bytes(100_000)], ids=["empty", "header", "zeros"])
async def test_a_wal_without_content_is_no_obstacle(storage_file: StorageFile, wal: Path, content: bytes) -> None:
    write(wal, content)
    assert await storage_file.everything() == (KEPT,)


@pytest.mark.parametrize("cut", [1, 4000, 5000])
async def test_a_wal_that_ends_early_is_used_as_far_as_it_goes(storage_file: StorageFile, wal: Path, cut: int) -> None:
    async with storage_file.opened() as storage:
        await storage.save([some(2)])
        before = files(storage_file.path.parent)
        await storage.save([some(3)])
        after = files(storage_file.path.parent)
    assert len(after[wal.name]) > len(before[wal.name])
    storage_file.path.write_bytes(before["state.db"])
    write(wal, after[wal.name][:-cut])
    assert await storage_file.everything() == (some(2),)


async def test_a_journal_of_another_program_is_refused(
    storage_file: StorageFile, wal: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """SQLite would restore its pages in the file."""
    path = tmp_path_factory.mktemp("other") / "other.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [["x" * 3000]] * 50)
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET x = randomblob(3000)")
        connection.execute("INSERT INTO t SELECT * FROM t")
        content = path.with_name("other.db-journal").read_bytes()
    assert content[:1] != b"\0"
    journal = wal.with_name("state.db-journal")
    journal.write_bytes(content)
    await check_refused(storage_file, "belongs to another database, or to another copy of this one")
    journal.write_bytes(b"\0" + content[1:])
    assert await storage_file.everything() == (KEPT,), "it is marked as no longer needed"


async def test_a_damaged_file_is_reported_before_its_wal_is_applied(
    storage_file: StorageFile, wal: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = storage_file.path.read_bytes()
    storage_file.path.write_bytes(data[:4096] + bytes(4096) + data[8192:])
    write(wal, of_another_program(tmp_path_factory.mktemp("other")))
    before = {
        name: data for name, data in files(storage_file.path.parent).items() if not name.endswith(("-shm", "-lock"))
    }
    with pytest.raises(StartError):
        async with storage_file.opened():
            pass
    after = files(storage_file.path.parent)
    assert {name: after[name] for name in before} == before
