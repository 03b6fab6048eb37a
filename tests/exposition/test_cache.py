from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from exporter.core import play_dates
from exporter.core.merge import SliceObservation, merge_observation
from exporter.core.model import Slice, Snapshot
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
    """Renders to what it was given, and remembers in which threads."""

    rendered: list[Publication] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    gate: threading.Event | None = None

    def render(self, publication: Publication) -> tuple[int, ...]:
        self.threads.add(threading.get_ident())
        if self.gate:
            self.gate.wait()
        self.rendered.append(publication)
        return tuple(published.days_ago for published in publication.slices)


class World:
    def __init__(self) -> None:
        self.now = NOON
        self.snapshot = Snapshot()
        self.renderer = FakeRenderer()
        self.counted: list[tuple[int, int]] = []
        self.publisher: ExpositionCache[tuple[int, ...]] = ExpositionCache(
            self.renderer,
            PublicationRules((query(everything, days_ago=(0, 1)),), stale_after=2 * 86_400.0, series_limit=1000),
            snapshot=lambda: self.snapshot,
            published=lambda series, dropped: self.counted.append((series, dropped)),
            now=lambda: self.now,
        )

    def learn(self, play_date: date = TODAY) -> None:
        slice_ = Slice("main", ALL, play_date)
        self.snapshot = self.snapshot.updated(
            [merge_observation(None, slice_, SliceObservation(self.now, {"a": row("a")}, listed=True), Settlement())]
        )


async def test_it_renders_once_however_often_it_is_scraped() -> None:
    world = World()
    world.learn()

    assert [await world.publisher.get() for _ in range(3)] == [(0,)] * 3
    assert len(world.renderer.rendered) == 1
    assert world.counted == [(3, 0)]


async def test_what_is_learnt_is_in_the_next_scrape() -> None:
    world = World()
    assert await world.publisher.get() == ()

    world.learn()

    assert await world.publisher.get() == (0,)


async def test_a_day_that_ends_is_never_shown_as_today_again() -> None:
    world = World()
    world.learn()
    midnight = play_dates.next_midnight(world.now)

    world.now = midnight - 0.001
    assert await world.publisher.get() == (0,)
    world.now = midnight
    assert await world.publisher.get() == (1,)
    assert len(world.renderer.rendered) == 2


async def test_a_clock_that_is_set_back_over_midnight_sets_the_days_back() -> None:
    world = World()
    world.learn()
    world.now = play_dates.next_midnight(world.now) + 1
    assert await world.publisher.get() == (1,)

    world.now -= 2

    assert await world.publisher.get() == (0,)


async def test_what_gets_stale_goes_without_a_poll() -> None:
    world = World()
    world.learn()
    await world.publisher.get()

    world.now += 2 * 86_400

    assert await world.publisher.get() == ()


async def test_a_day_that_ends_while_it_is_rendered_is_rendered_again() -> None:
    world = World()
    world.learn()
    world.now = play_dates.next_midnight(world.now) - 0.001
    world.renderer.gate = threading.Event()
    scrape = asyncio.create_task(world.publisher.get())
    while not world.renderer.threads:
        await asyncio.sleep(0)

    world.now += 1
    world.renderer.gate.set()

    assert await scrape == (1,)


async def test_other_rules_hold_at_the_next_scrape() -> None:
    world = World()
    world.learn()
    assert await world.publisher.get() == (0,)

    world.publisher.reconfigure(
        PublicationRules((query(everything, days_ago=(1,)),), stale_after=2 * 86_400.0, series_limit=1000)
    )

    assert await world.publisher.get() == ()


async def test_the_renderer_never_meets_itself_even_when_nobody_waits_for_it_any_more() -> None:
    world = World()
    world.learn()
    world.renderer.gate = threading.Event()
    given_up = asyncio.create_task(world.publisher.get())
    while not world.renderer.threads:
        await asyncio.sleep(0)
    given_up.cancel()
    scrape = asyncio.create_task(world.publisher.get())
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(world.renderer.threads) == 1

    world.renderer.gate.set()

    assert await scrape == (0,)
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert len(world.renderer.rendered) == 2


async def test_scrapes_that_come_together_wait_for_one_rendering_in_a_thread() -> None:
    world = World()
    world.learn()
    world.renderer.gate = threading.Event()
    scrapes = [asyncio.create_task(world.publisher.get()) for _ in range(5)]
    while not world.renderer.threads:
        await asyncio.sleep(0)

    world.renderer.gate.set()

    assert await asyncio.gather(*scrapes) == [(0,)] * 5
    assert len(world.renderer.rendered) == 1
    assert threading.get_ident() not in world.renderer.threads


async def test_what_is_shown_is_what_the_exposition_was_rendered_from() -> None:
    world = World()
    world.learn()
    rendered = await world.publisher.get()

    snapshot, rules, publication = await world.publisher.source()

    assert snapshot is world.snapshot
    assert rules.series_limit == 1000
    assert tuple(published.days_ago for published in publication.slices) == rendered
    assert len(world.renderer.rendered) == 1
