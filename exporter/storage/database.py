"""The open database: read, write, forget; every call in the one thread that opened it."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.storage import codec
from exporter.storage.file import APPLICATION_ID, MOVE_AWAY, SqliteTrouble, claimed, refusal, unusable
from exporter.storage.read_only import check_pages, heads, recent, spent

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from exporter.core.model import Slice, SliceData
    from exporter.storage.migrations import Migration

# Another program that looks into the file may keep us waiting so long; stopping takes less than 5 s all the same.
_BUSY_SECONDS: Final = 2.0
_LARGEST_WAL_LEFT_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """What is written at once or not at all: slices, and the calls that accounts have spent on a day."""

    slices: Mapping[Slice, SliceData] = field(default_factory=dict)
    calls: Mapping[str, tuple[date, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.slices or self.calls)

    def merged(self, later: WriteBatch) -> WriteBatch:
        """Both, the later one's word where both have one."""
        return WriteBatch({**self.slices, **later.slices}, {**self.calls, **later.calls})


class SideFilesLost(OSError):
    """Somebody has removed or replaced what SQLite keeps beside the file; it was made again, nothing is lost."""


class Database:
    """The tables of a file that is claimed, checked and of our version."""

    def __init__(self, connection: sqlite3.Connection, path: Path, real: Path) -> None:
        self._connection = connection
        self._path = path
        self._real = real
        self._opened = real.stat()
        self._beside = self._look_beside()

    def calls(self) -> dict[str, tuple[date, int]]:
        """By account, the last day it spent calls on, and how many. Raises StartError."""
        try:
            return spent(self._connection)
        except SqliteTrouble as error:
            raise unusable(self._path, error) from error

    def load(self, oldest: date) -> tuple[SliceData, ...]:
        """Every slice whose play date is `oldest` or later; where all are earlier, the last month kept.

        A clock that is ahead at the start hides nothing so, for when it is right again. Raises StartError.
        """
        try:
            return recent(self._connection, oldest)
        except SqliteTrouble as error:
            raise unusable(self._path, error) from error

    def write(self, batch: WriteBatch, oldest: date | None = None) -> None:
        """Write a batch, and forget days before `oldest`, if given. Raises sqlite3.Error, OSError, nothing written."""
        # SQLite would go on writing into a file that nobody can open any more.
        if not os.path.samestat(self._real.stat(), self._opened):
            raise OSError(errno.ESTALE, "another file has taken its place", str(self._path))
        self._check_beside()
        with _transaction(self._connection) as connection:
            if oldest is not None:
                connection.execute("DELETE FROM slice WHERE play_date < ?", [oldest.isoformat()])
                connection.execute("DELETE FROM calls WHERE day < ?", [oldest.isoformat()])
            for data in batch.slices.values():
                _write_slice(connection, data)
            connection.executemany(
                "REPLACE INTO calls (account, day, calls, seal) VALUES (?, ?, ?, ?)",
                [codec.encode_calls(account, day, calls) for account, (day, calls) in batch.calls.items()],
            )

    def _check_beside(self) -> None:
        """Make the -wal and -shm again where they were removed or replaced. Raises SideFilesLost, sqlite3.Error.

        SQLite still has those it opened, and would go on with them, but whoever opens the file after us would not.
        """
        if self._look_beside() == self._beside:
            return
        # On leaving that mode, SQLite writes into the file what it has in its -wal.
        self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("SELECT 1 FROM slice").fetchone()
        self._beside = self._look_beside()
        raise SideFilesLost(errno.ESTALE, "its -wal or -shm was removed or replaced", str(self._path))

    def _look_beside(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_identity(self._real.with_name(f"{self._real.name}{suffix}")) for suffix in ("-wal", "-shm"))


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def opened(path: Path, *, migrations: Sequence[Migration]) -> Generator[Database]:
    """Claim, check, and bring up to date a file, create it where there is none. Raises StartError."""
    with claimed(path) as real, contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(
                contextlib.closing(sqlite3.connect(real, timeout=_BUSY_SECONDS, isolation_level=None))
            )
            connection.execute("PRAGMA foreign_keys = ON")
            check_pages(connection, path)
            _migrate(connection, path, migrations)
            _settings(connection, path)
            for _ in heads(connection):
                pass  # nothing is written to a file, nor forgotten of it, that is not as we wrote it
            connection.execute("SELECT 1 FROM slice").fetchone()  # makes what SQLite has beside the file
            database = Database(connection, path, real)
            database.calls()
            database.write(WriteBatch())
        except SqliteTrouble as error:
            raise unusable(path, error) from error
        yield database


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    newest = len(migrations)
    if not 0 <= version <= newest:
        advice = f"Run the exporter that wrote it, or a newer one. {MOVE_AWAY}"
        raise refusal(path, f"its version is {version}, this exporter knows versions up to {newest}", advice)
    if version < newest:
        with _transaction(connection):
            for migration in migrations[version:]:
                migration(connection)
            # Together with the tables: a file that a kill leaves behind is empty or whole.
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {newest}")


def _settings(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise refusal(path, "its file system cannot hold it", "Choose a local disk for --storage.path.")
    # A killed process loses nothing that was committed: the system has it. A power cut may lose the last commits,
    # whole ones and never the file; those days are polled again, which is cheaper than waiting for the disk each time.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_WAL_LEFT_BYTES}")


def _write_slice(connection: sqlite3.Connection, data: SliceData) -> None:
    """Bring a slice up to date; a part that is as it was is not written again."""
    given = codec.facts(data)
    text, sealed = codec.encode_header(given)
    columns = codec.key(data.slice)
    known = connection.execute(
        "SELECT slice_id FROM slice"
        " WHERE account = ? AND terminal_type IS ? AND os IS ? AND region IS ? AND play_date = ?",
        columns,
    ).fetchone()
    if known:
        slice_id = known[0]
        connection.execute("UPDATE slice SET seal = ?, facts = ? WHERE slice_id = ?", (sealed, text, slice_id))
    else:
        slice_id = connection.execute(
            "INSERT INTO slice (account, terminal_type, os, region, play_date, seal, facts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*columns, sealed, text),
        ).lastrowid
    before = dict(connection.execute("SELECT number, seal FROM part WHERE slice_id = ?", [slice_id]))
    for number, part in enumerate(codec.encode_blocks(given)):
        if before.get(number) != part.seal:
            connection.execute(
                "REPLACE INTO part (slice_id, number, seal, answers) VALUES (?, ?, ?, ?)",
                (slice_id, number, part.seal, part.packed()),
            )
    connection.execute("DELETE FROM part WHERE slice_id = ? AND number >= ?", (slice_id, given.parts))


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # Some failures have rolled back by themselves; what this says is not the news.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
