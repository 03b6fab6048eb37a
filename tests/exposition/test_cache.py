from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from exporter.core import play_dates
from exporter.core.merge import merge_observation
from exporter.core.model import Slice, Snapshot
from exporter.core.observation import SliceObservation
from exporter.core.play_dates import Settlement
from exporter.core.publication import Publication, PublicationRules
from exporter.exposition.cache import ExpositionCache
from tests.core.fake_service import (
    ALL,
    NOON,
    TODAY,
    everything,
    query,
    row,
)

if TYPE_CHECKING:
    from datetime import date


@dataclass
class FakeRenderer:
    """Records what it renders, and in which threads."""

    rendered: list[Publication] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    gate: threading.Event | None = None

    def render(self, publication: Publication) -> tuple[int, ...]:
        self.threads.add(threading.get_ident())
        if self.gate:
            self.gate.wait()
        self.rendered.append(publication)
        return tuple(published.days_ago for published in publication.slices)


class Environment:
    def __init__(self) -> None:
        self.now = NOON
        self.snapshot = Snapshot()
        self.renderer = FakeRenderer()
        self.counted: list[tuple[int, int]] = []
        self.cache: ExpositionCache[tuple[int, ...]] = ExpositionCache(
            self.renderer.render,
            PublicationRules((query(everything, days_ago=(0, 1)),), stale_after=2 * 86_400.0, series_limit=1000),
            snapshot=lambda: self.snapshot,
            published=lambda series, dropped: self.counted.append((series, dropped)),
            now=lambda: self.now,
        )

    def add_data(self, play_date: date = TODAY) -> None:
        slice_ = Slice("main", ALL, play_date)
        self.snapshot = self.snapshot.updated(
            [merge_observation(None, slice_, SliceObservation(self.now, {"a": row("a")}, listed=True), Settlement())]
        )


async def test_many_scrapes_render_once() -> None:
    environment = Environment()
    environment.add_data()

    assert [await environment.cache.get() for _ in range(3)] == [(0,)] * 3
    assert len(environment.renderer.rendered) == 1
    assert environment.counted == [(3, 0)]


async def test_a_scrape_after_a_refresh_renders_nothing() -> None:
    environment = Environment()
    environment.add_data()

    await environment.cache.refresh()
    assert len(environment.renderer.rendered) == 1
    assert await environment.cache.get() == (0,)
    assert len(environment.renderer.rendered) == 1


async def test_new_data_is_in_the_next_scrape() -> None:
    environment = Environment()
    assert await environment.cache.get() == ()

    environment.add_data()

    assert await environment.cache.get() == (0,)


async def test_a_day_that_has_ended_is_never_shown_as_today() -> None:
    environment = Environment()
    environment.add_data()
    midnight = play_dates.next_midnight(environment.now)

    environment.now = midnight - 0.001
    assert await environment.cache.get() == (0,)
    environment.now = midnight
    assert await environment.cache.get() == (1,)
    assert len(environment.renderer.rendered) == 2


async def test_a_clock_that_is_set_back_over_midnight_sets_the_days_back() -> None:
    environment = Environment()
    environment.add_data()
    environment.now = play_dates.next_midnight(environment.now) + 1
    assert await environment.cache.get() == (1,)

    environment.now -= 2

    assert await environment.cache.get() == (0,)


async def test_stale_data_disappears_without_a_poll() -> None:
    environment = Environment()
    environment.add_data()
    await environment.cache.get()

    environment.now += 2 * 86_400

    assert await environment.cache.get() == ()


async def test_a_day_that_ends_during_rendering_is_rendered_again() -> None:
    environment = Environment()
    environment.add_data()
    environment.now = play_dates.next_midnight(environment.now) - 0.001
    environment.renderer.gate = threading.Event()
    scrape = asyncio.create_task(environment.cache.get())
    while not environment.renderer.threads:
        await asyncio.sleep(0)

    environment.now += 1
    environment.renderer.gate.set()

    assert await scrape == (1,)


async def test_changed_rules_apply_to_the_next_scrape() -> None:
    environment = Environment()
    environment.add_data()
    assert await environment.cache.get() == (0,)

    environment.cache.reconfigure(
        PublicationRules((query(everything, days_ago=(1,)),), stale_after=2 * 86_400.0, series_limit=1000)
    )

    assert await environment.cache.get() == ()


async def test_the_renderer_never_runs_twice_even_after_a_cancelled_scrape() -> None:
    environment = Environment()
    environment.add_data()
    environment.renderer.gate = threading.Event()
    given_up = asyncio.create_task(environment.cache.get())
    while not environment.renderer.threads:
        await asyncio.sleep(0)
    given_up.cancel()
    scrape = asyncio.create_task(environment.cache.get())
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(environment.renderer.threads) == 1

    environment.renderer.gate.set()

    assert await scrape == (0,)
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert len(environment.renderer.rendered) == 2


async def test_concurrent_scrapes_wait_for_one_rendering_in_a_thread() -> None:
    environment = Environment()
    environment.add_data()
    environment.renderer.gate = threading.Event()
    scrapes = [asyncio.create_task(environment.cache.get()) for _ in range(5)]
    while not environment.renderer.threads:
        await asyncio.sleep(0)

    environment.renderer.gate.set()

    assert await asyncio.gather(*scrapes) == [(0,)] * 5
    assert len(environment.renderer.rendered) == 1
    assert threading.get_ident() not in environment.renderer.threads


async def test_the_source_is_the_data_behind_the_exposition() -> None:
    environment = Environment()
    environment.add_data()
    rendered = await environment.cache.get()

    snapshot, rules, publication = await environment.cache.source()

    assert snapshot is environment.snapshot
    assert rules.series_limit == 1000
    assert tuple(published.days_ago for published in publication.slices) == rendered
    assert len(environment.renderer.rendered) == 1
