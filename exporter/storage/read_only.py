"""Read a storage file without changing it, as of one instant, even while a daemon writes it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.errors import StartError, shown
from exporter.storage import codec
from exporter.storage.file import (
    APPLICATION_ID,
    SQLITE_ERRORS,
    checked_path,
    has_our_header,
    is_copy,
    is_in_wal_mode,
    may_write,
    regular,
    side_file,
    unusable,
)
from exporter.storage.file_errors import corrupt, not_ours, of_another_file, refusal
from exporter.storage.media_table import StoredMedia, read_media
from exporter.storage.migrations import MEDIA_SINCE, MIGRATIONS
from exporter.storage.wal_header import is_readable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from exporter.core.model import Dimensions, SliceData

_BUSY_SECONDS: Final = 2.0
_HEADER_QUERY: Final = "SELECT slice_id, seal, facts, account, terminal_type, os, region, play_date FROM slice"
_MONTH: Final = timedelta(play_dates.OLDEST_DAYS_AGO)
_OF_ANOTHER: Final = "belongs to another database, or to another copy of this one"


@dataclass(frozen=True, slots=True)
class Examined:
    """The result of a check: media with plays by account and dimensions, and warnings for the operator.

    `media`: what searches have found, and metadata.
    """

    totals: Mapping[tuple[str, Dimensions], int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    media: StoredMedia = field(default_factory=StoredMedia)


def examine(path: Path, today: date) -> Examined:
    """Read everything that a daemon reads at its start, and report the same problems.

    A copy in a place that is not writable is read with a warning. Raises StartError where a daemon could not use the
    file; a daemon that is using it is no error.
    """
    real = checked_path(path)
    if real is None:
        return Examined(warnings=(f"storage {shown(path)}: there is no such file yet; serve will create it",))
    with reading(path) as connection:
        if connection is None:
            return Examined()
        check_pages(connection, path)
        calls_by_account(connection)
        recent(connection, today - _MONTH)
        totals = totals_before(connection, today)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        media = read_media(connection) if version >= MEDIA_SINCE else StoredMedia()
    if not is_copy(path, real):
        return Examined(totals, media=media)
    what = "nothing can be written there, so it was read as a copy; serve would not start with it"
    return Examined(totals, (f"storage {shown(path)}: {what}",), media)


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Check the consistency of the pages before any is used. Raises StartError, sqlite3.Error."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise corrupt(path, result)


def check_side_files(path: Path, real: Path) -> None:
    """Check that a -wal or -journal belongs to the file, before SQLite applies it, as a writer does even on closing.

    Only reads, so that the files stay as they are. Raises StartError, sqlite3.Error, OSError.
    """
    wal, journal = side_file(real, "-wal"), side_file(real, "-journal")
    if not _has_content(real):
        return
    with contextlib.suppress(PermissionError):  # reported when SQLite opens it
        if _has_content(journal) and is_in_wal_mode(real) and not _is_void(journal):
            raise of_another_file(path, journal, _OF_ANOTHER)
    if not _has_content(wal):
        return
    with contextlib.suppress(PermissionError):
        if not is_readable(wal):
            raise of_another_file(path, wal, "is damaged or not of SQLite")
    reason = content_fault(path, f"{real.as_uri()}?mode=ro")
    if reason is not None:
        is_corrupt_itself = content_fault(path, f"{real.as_uri()}?mode=ro&immutable=1") is not None
        raise reason if is_corrupt_itself else of_another_file(path, wal, _OF_ANOTHER)


def _has_content(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _is_void(journal: Path) -> bool:
    """Whether SQLite marked it as no longer needed."""
    with journal.open("rb") as file:
        return file.read(1) == b"\0"


def content_fault(path: Path, uri: str) -> StartError | None:
    """What is wrong with the content, if anything. Raises sqlite3.OperationalError if it cannot be read now."""
    try:
        with _connected(uri) as connection:
            (owner,) = connection.execute("PRAGMA application_id").fetchone()
            if owner != APPLICATION_ID:
                return not_ours(path)
            check_pages(connection, path)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if 1 <= version <= len(MIGRATIONS):
                calls_by_account(connection)
                for _ in headers(connection):
                    pass
    except StartError as error:
        return error
    except sqlite3.OperationalError:
        raise
    except SQLITE_ERRORS as error:
        return unusable(path, error)
    return None


def calls_by_account(connection: sqlite3.Connection) -> dict[str, tuple[date, int]]:
    """By account the last day with calls, and their number. Raises sqlite3.Error, CorruptStorage."""
    rows = connection.execute("SELECT account, day, calls, seal FROM calls")
    return {account: (day, calls) for account, day, calls in (codec.decode_calls(*row) for row in rows)}


def recent(connection: sqlite3.Connection, oldest: date) -> tuple[SliceData, ...]:
    """All slices from the play date `oldest` on; where all are earlier, those of the last stored month.

    A clock that is ahead at the start, or an exporter that was off for long, then hides no data. Raises sqlite3.Error,
    CorruptStorage.
    """
    (newest,) = connection.execute("SELECT max(play_date) FROM slice").fetchone()
    if newest is not None and newest < oldest.isoformat():
        oldest = date.fromisoformat(newest) - _MONTH
    return load(connection, oldest)


def headers(connection: sqlite3.Connection, oldest: str = "") -> Iterator[tuple[int, codec.SliceHeader]]:
    """The ID and header of each slice from a play date on. Raises sqlite3.Error, CorruptStorage."""
    for slice_id, seal, header, *columns in connection.execute(f"{_HEADER_QUERY} WHERE play_date >= ?", [oldest]):
        yield slice_id, codec.decode_header(tuple(columns), seal, header)


def load(connection: sqlite3.Connection, oldest: date) -> tuple[SliceData, ...]:
    """All slices from a play date on. Raises sqlite3.Error, CorruptStorage."""
    reader = codec.Reader()
    loaded = []
    for slice_id, header in headers(connection, oldest.isoformat()):
        parts = connection.execute("SELECT number, seal, answers FROM part WHERE slice_id = ?", [slice_id])
        loaded.append(reader.slice(header, {number: (seal, packed) for number, seal, packed in parts}))
    return tuple(loaded)


def totals_before(connection: sqlite3.Connection, before: date) -> Mapping[tuple[str, Dimensions], int]:
    """By account and dimensions the number of media with plays, as of the newest stored day before `before`.

    A day that had not ended when they were counted has more. Raises sqlite3.Error, CorruptStorage.
    """
    by_day = sorted((header.data for _, header in headers(connection)), key=lambda data: data.slice.play_date)
    ended = (data for data in by_day if data.slice.play_date < before and data.total_at >= _end(data.slice.play_date))
    return {(data.slice.account, data.slice.dimensions): data.total for data in ended if data.total is not None}


def _end(play_date: date) -> float:
    return play_dates.start(play_date + timedelta(days=1))


@contextlib.contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection | None]:
    """Yield a read-only connection in one transaction; None where there is no content yet. Raises StartError.

    SQLite may leave an empty -wal and a -shm, which a read-only connection cannot remove; the next daemon does.
    """
    real = regular(path)
    try:
        if not real.exists() or not real.stat().st_size:
            yield None
            return
        if may_write(real.parent) and has_our_header(real):
            check_side_files(path, real)
        with _uri(real) as uri, _connected(uri) as connection:
            _check(connection, path)
            yield connection
    except SQLITE_ERRORS as error:
        raise unusable(path, error) from error


@contextlib.contextmanager
def _connected(uri: str) -> Generator[sqlite3.Connection]:
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    with contextlib.closing(connection):
        yield connection


@contextlib.contextmanager
def _uri(real: Path) -> Generator[str]:
    """The URI by which SQLite can open the file. Raises OSError.

    SQLite needs a -shm to read a file in WAL mode. Where there is none and none can be created, as in a snapshot of a
    volume, there is no writer either: the file is complete by itself, or is copied with its -wal to a writable place.
    """
    wal, shm = side_file(real, "-wal"), side_file(real, "-shm")
    if (wal.exists() and shm.exists()) or may_write(real.parent):
        yield f"{real.as_uri()}?mode=ro"
    elif not wal.exists() or not wal.stat().st_size:
        yield f"{real.as_uri()}?mode=ro&immutable=1"
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "copy.db")
            shutil.copyfile(real, copy)
            shutil.copyfile(wal, Path(folder, "copy.db-wal"))
            yield copy.as_uri()


def _check(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("BEGIN")
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if owner != APPLICATION_ID:
        raise not_ours(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    # Later versions have added tables; those of slices and calls are the same in each.
    if not 1 <= version <= len(MIGRATIONS):
        advice = "A newer file needs a newer exporter."
        raise refusal(path, f"its version is {version}, this exporter knows versions up to {len(MIGRATIONS)}", advice)
