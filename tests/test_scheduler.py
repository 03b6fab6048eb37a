from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.scheduler import Scheduler
from tests.core.world import everything, query

if TYPE_CHECKING:
    import pytest

    from exporter.core.model import Query


@dataclass
class Told:
    skipped: Counter[str] = field(default_factory=Counter)
    next: dict[str, float] = field(default_factory=dict)

    def poll_skipped(self, query: str) -> None:
        self.skipped[query] += 1

    def next_poll(self, query: str, at: float) -> None:
        self.next[query] = at


class Polls:
    """Counts polls; `until(n)` waits for the nth."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled = 0
        self.changed = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, query: Query) -> None:
        self.begun.append(query.name)
        self.changed.set()
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def until(self, n: int) -> None:
        while len(self.begun) < n:
            self.changed.clear()
            await self.changed.wait()


async def test_every_query_is_polled_at_once_and_the_next_time_is_told() -> None:
    polls, told = Polls(), Told()
    queries = [query(everything, name, every=3600.0) for name in ("a", "b")]

    async with Scheduler(queries, polls, told):
        await polls.until(2)

    assert sorted(polls.begun) == ["a", "b"]
    assert set(told.next) == {"a", "b"}
    assert abs(told.next["a"] - told.next["b"]) <= 120


async def test_a_query_is_polled_again_every_interval() -> None:
    polls = Polls()

    async with Scheduler([query(everything, every=0.01)], polls, Told()):
        await polls.until(4)


async def test_a_poll_under_way_is_never_joined_by_a_second_one_of_its_query() -> None:
    polls, told = Polls(), Told()
    polls.hold.clear()

    async with Scheduler([query(everything, every=0.01)], polls, told):
        while told.skipped["q"] < 2:
            await asyncio.sleep(0.001)
        assert polls.begun == ["q"]
        polls.hold.set()
        await polls.until(3)


async def test_leaving_cancels_polls_under_way_and_waits_for_them(caplog: pytest.LogCaptureFixture) -> None:
    polls = Polls()
    polls.hold.clear()

    async with Scheduler([query(everything, name) for name in ("a", "b")], polls, Told()):
        await polls.until(2)

    assert polls.cancelled == 2
    assert [record.message for record in caplog.records if record.exc_info] == []


async def test_a_poll_that_breaks_does_not_end_polling() -> None:
    polls = Polls()

    async def breaks(query: Query) -> None:
        await polls(query)
        raise RuntimeError("a defect")

    async with Scheduler([query(everything, every=0.01)], breaks, Told()):
        await polls.until(3)
