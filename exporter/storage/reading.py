"""Read a storage file, also while a daemon writes it: one instant of it, and nothing is changed."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

from exporter.storage import codec
from exporter.storage.file import APPLICATION_ID, SqliteTrouble, foreign, refusal, regular, unusable
from exporter.storage.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from exporter.core.model import Dimensions, SliceData

_BUSY_SECONDS: Final = 2.0
_HEADS: Final = "SELECT slice_id, seal, facts, account, terminal_type, os, region, play_date FROM slice"


def read_totals(path: Path, before: date) -> Mapping[tuple[str, Dimensions], int]:
    """By account and dimensions, how many media have plays: what was told of the newest day before `before`.

    A day that is not over has fewer media. A file that does not exist yet knows nothing. Raises StartError, as opening
    it would.
    """
    with _reading(path) as connection:
        if connection is None:
            return {}
        known = sorted((facts.data for _, facts in heads(connection)), key=lambda data: data.slice.play_date)
        over = (data for data in known if data.slice.play_date < before)
        return {(data.slice.account, data.slice.dimensions): data.total for data in over if data.total is not None}


def read_slices(path: Path, oldest: date) -> tuple[SliceData, ...]:
    """Every slice whose play date is `oldest` or later, as it was saved.

    A file that does not exist yet knows nothing. Raises StartError, as opening it would.
    """
    with _reading(path) as connection:
        return () if connection is None else load(connection, oldest)


def heads(connection: sqlite3.Connection, oldest: str = "") -> Iterator[tuple[int, codec.Facts]]:
    """The facts of each slice from a play date on, with its ID. Raises sqlite3.Error, Damaged."""
    for slice_id, seal, facts, *columns in connection.execute(f"{_HEADS} WHERE play_date >= ?", [oldest]):
        yield slice_id, codec.decode_facts(tuple(columns), seal, facts)


def load(connection: sqlite3.Connection, oldest: date) -> tuple[SliceData, ...]:
    """Every slice from a play date on. Raises sqlite3.Error, Damaged."""
    reader = codec.Reader()
    loaded = []
    for slice_id, facts in heads(connection, oldest.isoformat()):
        parts = connection.execute("SELECT number, seal, answers FROM part WHERE slice_id = ?", [slice_id])
        loaded.append(reader.slice(facts, {number: (seal, answers) for number, seal, answers in parts}))
    return tuple(loaded)


@contextlib.contextmanager
def _reading(path: Path) -> Generator[sqlite3.Connection | None]:
    """Give a connection that cannot write and sees one instant; None where there is nothing yet. Raises StartError.

    SQLite may leave an empty -wal and a -shm, for it may not remove them; the next daemon does.
    """
    real = regular(path)
    try:
        if not real.exists() or not real.stat().st_size:
            yield None
            return
        uri = f"{real.as_uri()}?mode=ro"
        with contextlib.closing(
            sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as connection:
            _check(connection, path)
            yield connection
    except SqliteTrouble as error:
        raise unusable(path, error) from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("BEGIN")
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if owner != APPLICATION_ID:
        raise foreign(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != len(MIGRATIONS):
        advice = "Start the exporter once, which brings an older file up to date; a newer file needs a newer exporter."
        raise refusal(path, f"its version is {version}, this exporter's is {len(MIGRATIONS)}", advice)
