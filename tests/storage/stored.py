"""The content of a storage file, read as `check-config` reads it, also while a daemon writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.storage.read_only import load, reading, totals_before

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from exporter.core.model import Dimensions, SliceData


def read_slices(path: Path, oldest: date) -> tuple[SliceData, ...]:
    """All slices from the play date `oldest` on, as they were saved; none if the file does not exist."""
    with reading(path) as connection:
        return () if connection is None else load(connection, oldest)


def read_totals(path: Path, before: date) -> Mapping[tuple[str, Dimensions], int]:
    """By account and dimensions the number of media with plays, as of the newest stored day before `before`."""
    with reading(path) as connection:
        return {} if connection is None else totals_before(connection, before)
