"""The open database: read, write, delete; all calls are made in the thread that opened it."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.errors import StartError
from exporter.storage import codec
from exporter.storage.file import APPLICATION_ID, SQLITE_ERRORS, locked, unusable
from exporter.storage.file_errors import MOVE_AWAY, refusal
from exporter.storage.media_table import write_media
from exporter.storage.open_files import Changes, FileLost, OpenFiles, SideFilesLost
from exporter.storage.read_only import calls_by_account, check_pages, check_side_files, content_fault, headers

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from exporter.core.media_details import AccountMetadata, FoundMedia, Search
    from exporter.core.model import Slice, SliceData
    from exporter.storage.migrations import Migration

T = TypeVar("T")

# How long to wait for another program that reads the file; the exporter still stops within 5 s.
_BUSY_SECONDS: Final = 2.0
_MAX_IDLE_WAL_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WriteBatch:
    """The data of one transaction: slices, by account a day and its number of calls; found media and metadata."""

    slices: Mapping[Slice, SliceData] = field(default_factory=dict)
    calls: Mapping[str, tuple[date, int]] = field(default_factory=dict)
    found: Mapping[tuple[str, Search], FoundMedia] = field(default_factory=dict)
    metadata: Mapping[str, AccountMetadata] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.slices or self.calls or self.found or self.metadata)

    def merged(self, later: WriteBatch) -> WriteBatch:
        """Both batches; where both have a value, the later one."""
        return WriteBatch(
            {**self.slices, **later.slices},
            {**self.calls, **later.calls},
            {**self.found, **later.found},
            {**self.metadata, **later.metadata},
        )


class Database:
    """The tables of a file that is locked, checked and migrated."""

    def __init__(self, connection: sqlite3.Connection, path: Path, real: Path) -> None:
        self._connection = connection
        self._path = path
        self._real = real
        self._files = OpenFiles(path, real)

    def close(self) -> None:
        """Close it; SQLite moves the content of the -wal to the file, unless that one is lost."""
        with contextlib.ExitStack() as stack:
            try:
                self._check_files()
            except SideFilesLost:
                pass  # both are usable again
            except (sqlite3.Error, OSError) as error:
                stack.enter_context(self._files.left_alone(is_lost=isinstance(error, FileLost)))
            self._connection.close()
        self._files.close()

    def read(self, what: Callable[[sqlite3.Connection], T]) -> T:
        """What a function of `read_only` or `media_table` reads. Raises StartError."""
        try:
            return what(self._connection)
        except SQLITE_ERRORS as error:
            raise unusable(self._path, error) from error

    def write(self, batch: WriteBatch, oldest: date | None = None) -> None:
        """Write a batch and delete days before `oldest`. Writes all or nothing; raises sqlite3.Error, OSError."""
        self._check_files()
        try:
            self._write(batch, oldest)
        finally:
            self._files.remember()

    def _write(self, batch: WriteBatch, oldest: date | None) -> None:
        with _transaction(self._connection) as connection:
            if oldest is not None:
                connection.execute("DELETE FROM slice WHERE play_date < ?", [oldest.isoformat()])
                connection.execute("DELETE FROM calls WHERE day < ?", [oldest.isoformat()])
            for data in batch.slices.values():
                _write_slice(connection, data)
            write_media(connection, batch.found, batch.metadata)
            connection.executemany(
                "REPLACE INTO calls (account, day, calls, seal) VALUES (?, ?, ?, ?)",
                [codec.encode_calls(account, day, calls) for account, (day, calls) in batch.calls.items()],
            )

    def _check_files(self) -> None:
        """Find changes that another program has made to the files, which SQLite does not detect, before writing.

        Raises FileLost; SideFilesLost, after which writing continues; sqlite3.Error, OSError.
        """
        changes = self._files.changes()
        if not any(changes):
            return
        if changes.side_files_removed and (changes.main or changes.wal):
            raise self._files.lost(errno.ESTALE, "another program has changed it")
        if changes.wal or changes.shm:
            self._files.discard_index()
        if changes.side_files_removed:
            # SQLite would keep using the removed ones, which the next process would not see.
            # When it leaves WAL mode, it writes the content of the -wal to the file.
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("SELECT 1 FROM slice").fetchone()
        elif changes.main or changes.wal:
            self._open_again()
        self._files.remember()
        if changes != Changes(main=True):
            lost = "its -wal was changed: what was written last may be lost"
            what = lost if changes.wal else "its -wal or -shm was removed or changed"
            raise SideFilesLost(errno.ESTALE, what, str(self._path))

    def _open_again(self) -> None:
        """Open what is there now, without what SQLite holds in memory. Raises FileLost where that is not our data."""
        # SQLite removes the -wal of a file without content.
        if not self._real.stat().st_size or content_fault(self._path, f"{self._real.as_uri()}?mode=ro"):
            raise self._files.lost(errno.ESTALE, "another program has overwritten it")
        connection = _connected(self._real)
        try:
            _settings(connection, self._path)
            connection.execute("SELECT 1 FROM slice").fetchone()
        except (StartError, sqlite3.Error) as error:  # it is not in WAL mode, for example
            connection.close()
            raise self._files.lost(errno.ESTALE, "another program has overwritten it") from error
        self._connection.close()
        self._connection = connection


def _connected(real: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(real, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@contextlib.contextmanager
def opened(path: Path, *, migrations: Sequence[Migration]) -> Generator[Database]:
    """Lock, check and migrate a file; create it where there is none. Raises StartError."""
    with locked(path) as real, contextlib.ExitStack() as stack:
        try:
            check_side_files(path, real)
            connection = stack.enter_context(contextlib.closing(_connected(real)))
            check_pages(connection, path)
            _migrate(connection, path, migrations)
            _settings(connection, path)
            for _ in headers(connection):
                pass  # a corrupt file is neither written to nor are days deleted from it
            connection.execute("SELECT 1 FROM slice").fetchone()  # creates the -wal and -shm
            database = stack.enter_context(contextlib.closing(Database(connection, path, real)))
            database.read(calls_by_account)
            database.write(WriteBatch())
        except SQLITE_ERRORS as error:
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
            # In the same transaction as the tables: after a kill the file is empty or complete.
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {newest}")


def _settings(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise refusal(path, "its file system cannot hold it", "Choose a local disk for --storage.path.")
    # A killed process loses no committed data: the kernel has it. A power failure may lose the last commits, but never
    # corrupts the file; those days are polled again, which is cheaper than waiting for the disk with each commit.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_MAX_IDLE_WAL_BYTES}")


def _write_slice(connection: sqlite3.Connection, data: SliceData) -> None:
    """Insert or update a slice; blocks whose seal is unchanged are not written again."""
    header = codec.header_of(data)
    text, sealed = codec.encode_header(header)
    columns = codec.key(data.slice)
    existing = connection.execute(
        "SELECT slice_id FROM slice"
        " WHERE account = ? AND terminal_type IS ? AND os IS ? AND region IS ? AND play_date = ?",
        columns,
    ).fetchone()
    if existing:
        slice_id = existing[0]
        connection.execute("UPDATE slice SET seal = ?, facts = ? WHERE slice_id = ?", (sealed, text, slice_id))
    else:
        slice_id = connection.execute(
            "INSERT INTO slice (account, terminal_type, os, region, play_date, seal, facts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*columns, sealed, text),
        ).lastrowid
    before = dict(connection.execute("SELECT number, seal FROM part WHERE slice_id = ?", [slice_id]))
    for number, part in enumerate(codec.encode_blocks(header)):
        if before.get(number) != part.seal:
            connection.execute(
                "REPLACE INTO part (slice_id, number, seal, answers) VALUES (?, ?, ?, ?)",
                (slice_id, number, part.seal, part.packed()),
            )
    connection.execute("DELETE FROM part WHERE slice_id = ? AND number >= ?", (slice_id, header.parts))


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # After some errors SQLite has already rolled back; the original error is the one to raise.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
