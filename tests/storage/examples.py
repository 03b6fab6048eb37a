"""Slices to store: a few plain ones, and arbitrary ones for hypothesis."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st

from exporter.core.model import Dimensions, Freshness, Measure, MediaRecord, PlayRow, Ranking, Slice, SliceData
from exporter.storage.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractAsyncContextManager

NOON = datetime.fromisoformat("2024-03-24T12:00:00+08:00").timestamp()
TODAY = date(2024, 3, 24)
YESTERDAY = date(2024, 3, 23)
ALL = Dimensions()
DAY_SECONDS = 86_400.0
UNPRIVILEGED_ID = 65534
RETENTION = 400 * DAY_SECONDS


@dataclass
class Meter:
    failures: int = 0

    def storage_failed(self) -> None:
        self.failures += 1


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class StorageFile:
    """A file, and the arguments with which storage opens it."""

    path: Path
    clock: Clock = field(default_factory=Clock)
    meter: Meter = field(default_factory=Meter)

    def opened(self, **changed: Any) -> AbstractAsyncContextManager[Storage]:
        return Storage.opened(self.path, **{"retention": RETENTION, "meter": self.meter, "now": self.clock, **changed})

    async def put(self, *saved_slices: SliceData) -> None:
        async with self.opened() as storage:
            await storage.save(saved_slices)

    async def everything(self) -> tuple[SliceData, ...]:
        async with self.opened() as storage:
            return await storage.load(date.min)


def some(
    plays: float = 1, *, day: date = YESTERDAY, rows: int = 3, at: float = NOON, dimensions: Dimensions = ALL
) -> SliceData:
    """A slice of m0, m1, ... and a zero."""
    freshness = Freshness(at, 1)
    records = {
        f"m{i}": MediaRecord(PlayRow(f"m{i}", f"标题 {i}", 60, 2, plays, 1.5, 90, 45.0), freshness) for i in range(rows)
    }
    records["none"] = MediaRecord(None, freshness)
    return SliceData(
        Slice("main", dimensions, day),
        records,
        listed=freshness,
        rankings={Measure.PLAYS: Ranking(2, ("m1", "m0"), freshness)},
        total=rows,
        total_at=at,
        updated_at=at,
        last_response_at=at,
    )


@contextlib.contextmanager
def unwritable_folder() -> Generator[Path]:
    """A folder of a user without root's permissions, whose identity is assumed meanwhile: root may write anywhere."""
    with tempfile.TemporaryDirectory() as folder:
        if os.getuid() != 0:
            yield Path(folder)
            return
        os.chown(folder, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        os.seteuid(UNPRIVILEGED_ID)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


def files(directory: Path) -> dict[str, bytes]:
    """The content of the files in a directory."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def mounted(*argv: str | Path) -> None:
    """Mount, or skip the test where that is not allowed."""
    done = subprocess.run(["mount", *argv], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mount is not allowed here: {done.stderr.strip()}")


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_numbers = st.one_of(
    st.none(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, 1, 1.0, 2**63, 2**64, 1.7976931348623157e308]),
)
_times = st.floats(0, 4e9)
_freshness = st.builds(Freshness, _times, st.integers(0, 5), st.booleans())


def _answers(freshness: list[Freshness]) -> st.SearchStrategy[dict[str, MediaRecord]]:
    def answer(media_id: str) -> st.SearchStrategy[tuple[str, MediaRecord]]:
        row = st.builds(PlayRow, st.just(media_id), st.none() | _texts, *[_numbers] * 6)
        return st.tuples(st.just(media_id), st.builds(MediaRecord, st.none() | row, st.sampled_from(freshness)))

    return st.lists(_texts.flatmap(answer), max_size=8).map(dict)


def _slices(day: st.SearchStrategy[date]) -> st.SearchStrategy[SliceData]:
    filters = st.none() | _texts
    slice_ = st.builds(Slice, _texts, st.builds(Dimensions, filters, filters, filters), day)
    ranking = st.builds(Ranking, st.integers(1, 100), st.lists(_texts, max_size=4).map(tuple), _freshness)
    return st.lists(_freshness, min_size=1, max_size=3).flatmap(
        lambda freshness: st.builds(
            SliceData,
            slice_,
            _answers(freshness),
            st.none() | _freshness,
            st.dictionaries(st.sampled_from(Measure), ranking),
            st.none() | st.integers(0, 2**70),
            _times,
            st.none() | _times,
            _times,
            st.booleans(),
        )
    )


any_slice = _slices(st.dates(date(2024, 3, 1), TODAY))
any_slices = st.lists(any_slice, max_size=4, unique_by=lambda data: data.slice)


def by_slice(slices: tuple[SliceData, ...] | list[SliceData]) -> dict[Slice, str]:
    """The repr of each slice in a fixed order, to compare types and signs of zero as well, which == ignores."""
    return {data.slice: repr(_ordered(data)) for data in slices}


def _ordered(data: SliceData) -> object:
    records = sorted(data.records.items(), key=lambda known: known[0])
    rankings = sorted(data.rankings.items(), key=lambda known: known[0].value)
    times = data.total_at, data.updated_at, data.last_response_at
    return records, rankings, data.listed, data.total, times, data.ready
