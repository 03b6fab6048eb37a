from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from exporter.core.retry import Retry
from exporter.errors import StartError
from exporter.jobs import Job, JobId, poll_id
from exporter.scheduler import MAX_JITTER_SECONDS, WATCH_SECONDS, Scheduler
from tests.core.fake_service import everything, query
from tests.virtual_time import SettableClock, in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from exporter.core.model import Query


@dataclass
class RecordedEvents:
    skipped: Counter[str] = field(default_factory=Counter)
    next: dict[str, float] = field(default_factory=dict)

    def run_skipped(self, job: JobId, /) -> None:
        self.skipped[job.name] += 1

    def next_run(self, job: JobId, at: float, /) -> None:
        self.next[job.name] = at


def jobs(queries: Iterable[Query], poll: Callable[[Query], Awaitable[Retry | None]]) -> list[Job]:
    return [Job(poll_id(query.name), query.every, partial(poll, query)) for query in queries]


class Polls:
    """Counts polls; `until(n)` waits for the nth."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled = 0
        self.changed = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, query: Query) -> None:
        self.started.append(query.name)
        self.changed.set()
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def until(self, n: int) -> None:
        while len(self.started) < n:
            self.changed.clear()
            await self.changed.wait()


async def test_every_query_is_polled_immediately_and_its_next_run_is_reported() -> None:
    polls, events = Polls(), RecordedEvents()
    queries = [query(everything, name, every=3600.0) for name in ("a", "b")]

    async with Scheduler(jobs(queries, polls), events):
        await polls.until(2)

    assert sorted(polls.started) == ["a", "b"]
    assert set(events.next) == {"a", "b"}
    assert abs(events.next["a"] - events.next["b"]) <= 120


async def test_a_query_is_polled_again_every_interval() -> None:
    polls = Polls()

    async with Scheduler(jobs([query(everything, every=0.01)], polls), RecordedEvents()):
        await polls.until(4)


async def test_a_poll_under_way_is_never_joined_by_a_second_one_of_its_query(caplog: pytest.LogCaptureFixture) -> None:
    polls, events = Polls(), RecordedEvents()
    polls.hold.clear()
    caplog.set_level(logging.WARNING, "apscheduler")

    async with Scheduler(jobs([query(everything, every=0.01)], polls), events):
        await polls.until(1)
        due, enough = events.next["q"], events.skipped["q"] + 2
        while events.skipped["q"] < enough:
            await asyncio.sleep(0.001)
        assert polls.started == ["q"]
        assert events.next["q"] > due
        polls.hold.set()
        await polls.until(3)
    warnings_logged = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings_logged == [], "only the observer reports it"


def test_polls_that_become_due_while_the_loop_is_busy_are_started_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch of the clock and the start of polls are then due in the same turn of the loop."""

    async def busy(clock: SettableClock) -> None:
        polls, events = Polls(), RecordedEvents()

        async def poll(query: Query) -> Retry:
            await polls(query)
            return Retry(not_before=clock.now() + 2.5 * WATCH_SECONDS)

        async with Scheduler(jobs([query(everything)], poll), events, now=clock.now, random=lambda: 0.0):
            await polls.until(1)
            for number in range(2, 10):
                await asyncio.sleep(2 * WATCH_SECONDS + 1)
                clock.loop.block(WATCH_SECONDS)
                await polls.until(number)
                await asyncio.sleep(1)
        assert events.skipped == {}
        assert len(polls.started) == 9

    in_virtual_time(monkeypatch, busy)


async def test_leaving_cancels_polls_under_way_and_waits_for_them(caplog: pytest.LogCaptureFixture) -> None:
    polls = Polls()
    polls.hold.clear()

    async with Scheduler(jobs([query(everything, name) for name in ("a", "b")], polls), RecordedEvents()):
        await polls.until(2)

    assert polls.cancelled == 2
    assert [record.message for record in caplog.records if record.exc_info] == []


async def test_a_poll_that_breaks_does_not_end_polling() -> None:
    polls = Polls()

    async def breaks(query: Query) -> None:
        await polls(query)
        raise RuntimeError("a defect")

    async with Scheduler(jobs([query(everything, every=0.01)], breaks), RecordedEvents()):
        await polls.until(3)


def q(name: str, every: float = 3600.0, **changed: object) -> Query:
    return query(everything, name, every=every, **changed)


async def test_unchanged_queries_keep_their_schedule_and_new_ones_are_polled_now() -> None:
    polls, events = Polls(), RecordedEvents()
    async with Scheduler(jobs([q("a"), q("b")], polls), events) as scheduler:
        await polls.until(2)
        due = dict(events.next)

        await scheduler.reconfigure(jobs([q("b"), q("c")], polls), interrupted=[], due=[], swap=lambda: None)

        await polls.until(3)
        assert polls.started[2:] == ["c"]
        assert events.next["b"] == due["b"]


async def test_nothing_that_is_interrupted_or_gone_is_polled_while_things_are_swapped() -> None:
    polls = Polls()
    polls.hold.clear()
    cancelled = []
    async with Scheduler(jobs([q("gone"), q("changed"), q("same")], polls), RecordedEvents()) as scheduler:
        await polls.until(3)

        await scheduler.reconfigure(
            jobs([q("changed", days_ago=(2,)), q("same")], polls),
            interrupted=[poll_id("changed")],
            due=[poll_id("changed"), poll_id("same")],
            swap=lambda: cancelled.append(polls.cancelled),
        )

        await polls.until(4)
        assert cancelled == [2]
        assert polls.started[3:] == ["changed"], "one that is being polled is due anyhow"
    assert polls.cancelled == 4


async def test_a_poll_that_was_interrupted_begins_again_although_it_is_not_due() -> None:
    polls, events = Polls(), RecordedEvents()
    polls.hold.clear()
    async with Scheduler(jobs([q("a"), q("b")], polls), events) as scheduler:
        await polls.until(2)
        await scheduler.reconfigure(
            jobs([q("a"), q("b")], polls), interrupted=[poll_id("a")], due=[], swap=lambda: None
        )
        await polls.until(3)
        assert polls.started[2:] == ["a"]
    assert not events.skipped


async def test_a_poll_that_has_only_just_become_due_is_interrupted_too() -> None:
    polls, events = Polls(), RecordedEvents()
    async with Scheduler(jobs([], polls), events) as scheduler:
        await scheduler.reconfigure(jobs([q("new")], polls), interrupted=[], due=[], swap=lambda: None)
        await asyncio.sleep(0)  # APScheduler has submitted it, and it has not started

        await scheduler.reconfigure(
            jobs([q("new", days_ago=(2,))], polls),
            interrupted=[poll_id("new")],
            due=[poll_id("new")],
            swap=lambda: None,
        )

        await polls.until(1)
        for _ in range(10):
            await asyncio.sleep(0)
    assert not events.skipped


async def test_another_interval_counts_from_the_last_poll() -> None:
    polls, events = Polls(), RecordedEvents()
    async with Scheduler(jobs([q("a", every=86_400.0)], polls), events) as scheduler:
        await polls.until(1)
        before = events.next["a"]
        await scheduler.reconfigure(jobs([q("a", every=3600.0)], polls), interrupted=[], due=[], swap=lambda: None)
        assert before - events.next["a"] == pytest.approx(86_400 - 3600, abs=2 * MAX_JITTER_SECONDS)
        await scheduler.reconfigure(jobs([q("a", every=0.01)], polls), interrupted=[], due=[], swap=lambda: None)
        await polls.until(3)


async def test_before_it_begins_and_after_it_ends_nothing_can_be_changed() -> None:
    polls, events = Polls(), RecordedEvents()
    scheduler = Scheduler(jobs([q("a")], polls), events)
    with pytest.raises(StartError, match="starting or stopping"):
        await scheduler.reconfigure([], interrupted=[], due=[], swap=pytest.fail)
    async with scheduler:
        await polls.until(1)
    with pytest.raises(StartError, match="starting or stopping"):
        await scheduler.reconfigure([], interrupted=[], due=[], swap=pytest.fail)
