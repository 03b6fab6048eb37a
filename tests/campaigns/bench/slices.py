"""The cost of one changed slice, as a share of rendering everything."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Final

from exporter.core import play_dates
from exporter.core.model import (
    Dimensions,
    Everything,
    Freshness,
    MediaRecord,
    PlayRow,
    Query,
    Slice,
    SliceData,
    Snapshot,
)
from exporter.core.publication import PublicationRules
from exporter.exposition.cache import ExpositionCache
from exporter.exposition.render import Renderer
from tests.campaigns.bench.rows import Goal, Section, row

ROUNDS: Final = 11
NOW: Final = 1_711_252_800.0  # 2024-03-24 12:00 UTC+8
DIMENSIONS: Final = (Dimensions(), Dimensions("Native"), Dimensions("Web"), Dimensions(os="Android"))
DAYS_AGO: Final = tuple(range(25))
MEDIA: Final = tuple(f"{number:032x}" for number in range(200))
RULES: Final = PublicationRules(
    (Query("everything", "main", 900.0, Everything(), DIMENSIONS, DAYS_AGO),), stale_after=86_400.0, series_limit=10**6
)

_HOW: Final = """\
{slices} slices of {media} media: {series:,} series, compressed as well. The time from a new snapshot to the
finished response, in {rounds} rounds: for everything, as if nothing had been rendered before, and then for new
numbers in one slice."""


def complete_slice(slice_: Slice, at: float, more_plays: int = 0) -> SliceData:
    """A complete slice observed at `at`, with changed numbers."""
    freshness = Freshness(at)
    answers = {
        media_id: MediaRecord(PlayRow(media_id, "A title", 60, n, n + more_plays, 1.5, n * 60, 90.5), freshness)
        for n, media_id in enumerate(MEDIA)
    }
    return SliceData(slice_, answers, freshness, total=len(MEDIA), total_at=at, updated_at=at, last_response_at=at)


class Exposition:
    """An exposition cache with a given snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.series = 0
        self._publisher = ExpositionCache(
            Renderer().render, RULES, snapshot=lambda: self.snapshot, published=self._count, now=lambda: NOW
        )

    async def seconds(self) -> float:
        """The seconds until scrapes see the snapshot."""
        gc.collect()
        begun = time.perf_counter()
        await self._publisher.get()
        return time.perf_counter() - begun

    def _count(self, series: int, _dropped: int) -> None:
        self.series = series


def snapshot() -> Snapshot:
    """A snapshot of everything, observed a minute ago."""
    slices = (
        Slice("main", dimensions, play_dates.play_date(NOW, ago)) for dimensions in DIMENSIONS for ago in DAYS_AGO
    )
    return Snapshot({slice_: complete_slice(slice_, NOW - 60) for slice_ in slices})


async def measured() -> Section:
    """The table."""
    known = snapshot()
    warm = Exposition(known)
    await warm.seconds()
    everything: list[float] = []
    one: list[float] = []
    for number, slice_ in zip(range(ROUNDS), known.slices, strict=False):
        everything.append(await Exposition(known).seconds() * 1e3)
        warm.snapshot = warm.snapshot.updated([complete_slice(slice_, NOW - 30, more_plays=number + 1)])
        one.append(await warm.seconds() * 1e3)
    whole = row("everything", "ms", everything)
    how = _HOW.format(slices=len(known.slices), media=len(MEDIA), series=warm.series, rounds=ROUNDS)
    return Section(
        "One changed slice of a hundred", how, (whole, row("one slice", "ms", one, against=whole, goal=Goal(0.03)))
    )


def sections() -> list[Section]:
    """The table of slices."""
    return [asyncio.run(measured())]
