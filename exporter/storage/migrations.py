"""The tables, and the migration of each version of them to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    Migration = Callable[[sqlite3.Connection], object]


def _create(connection: sqlite3.Connection) -> None:
    """Create version 1. NULL means no filter; the index replaces it, because UNIQUE treats NULLs as different.

    A `seal` is a digest of the other columns of its row (blocks.py): SQLite does not notice a flipped bit in a value.
    """
    connection.execute(
        """CREATE TABLE slice (
            slice_id INTEGER PRIMARY KEY,
            account TEXT NOT NULL,
            terminal_type TEXT,
            os TEXT,
            region TEXT,
            play_date TEXT NOT NULL,
            seal BLOB NOT NULL,
            facts TEXT NOT NULL
        )"""
    )
    connection.execute(
        """CREATE UNIQUE INDEX slice_once ON slice (
            play_date, account, ifnull(terminal_type, x''), ifnull(os, x''), ifnull(region, x'')
        )"""
    )
    connection.execute(
        """CREATE TABLE part (
            slice_id INTEGER NOT NULL REFERENCES slice ON DELETE CASCADE,
            number INTEGER NOT NULL,
            seal BLOB NOT NULL,
            answers BLOB NOT NULL,
            PRIMARY KEY (slice_id, number)
        )"""
    )
    connection.execute(
        "CREATE TABLE calls (account TEXT PRIMARY KEY, day TEXT NOT NULL, calls INTEGER NOT NULL, seal BLOB NOT NULL)"
    )


def _add_media(connection: sqlite3.Connection) -> None:
    """Create version 2: what searches found (`kind` search, `name` its conditions), and metadata of accounts."""
    connection.execute(
        """CREATE TABLE media (
            account TEXT NOT NULL,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            number INTEGER NOT NULL,
            updated_at REAL NOT NULL,
            seal BLOB NOT NULL,
            content BLOB NOT NULL,
            PRIMARY KEY (account, kind, name, number)
        )"""
    )


MEDIA_SINCE: Final = 2
"""The version that has the table of media."""

MIGRATIONS: Final[tuple[Migration, ...]] = (_create, _add_media)
"""The migration at index n turns version n into version n + 1; version 0 is an empty file."""
