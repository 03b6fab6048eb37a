"""When polls are repeated after failures and when the clock is set; the test moves the clock."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest
from apscheduler.triggers.interval import IntervalTrigger

from exporter.core.retry import Retry
from exporter.jobs import Job, JobId, poll_id
from exporter.scheduler import MAX_JITTER_SECONDS, RETRY_JITTER_SECONDS, WATCH_SECONDS, Scheduler
from tests.core.fake_service import everything, query
from tests.virtual_time import START, SettableClock, in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from exporter.core.model import Query

    Run = Callable[[Callable[[SettableClock], Coroutine[None, None, None]]], None]

MINUTE, HOUR, DAY, YEAR = 60.0, 3600.0, 86_400.0, 365.25 * 86_400
AGAIN = Retry()


@dataclass
class Service:
    """Records polls by query with the elapsed time; they end with `results`, the last one for ever."""

    clock: SettableClock
    results: list[Retry | None] = field(default_factory=lambda: [None])
    takes: float = 0.0
    polls: dict[str, list[float]] = field(default_factory=dict)
    cancelled: int = 0
    skipped: int = 0
    next: dict[str, float] = field(default_factory=dict)

    async def poll(self, query: Query) -> Retry | None:
        self.polls.setdefault(query.name, []).append(self.clock.loop.time())
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]

    def run_skipped(self, job: JobId, /) -> None:
        assert job.name in self.polls
        self.skipped += 1

    def next_run(self, job: JobId, at: float, /) -> None:
        self.next[job.name] = at

    def job(self, query: Query) -> Job:
        return Job(poll_id(query.name), query.every, partial(self.poll, query))

    def waits(self, name: str = "q") -> list[float]:
        return [after - before for before, after in itertools.pairwise(self.polls[name])]

    def scheduler(self, *queries: Query, random: float = 0.5) -> Scheduler:
        return Scheduler(map(self.job, queries), self, now=self.clock.now, random=lambda: random)


def q(name: str = "q", every: float = 6 * HOUR) -> Query:
    return query(everything, name, every=every)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda test: in_virtual_time(monkeypatch, test)


@pytest.mark.parametrize("random", [0.0, 0.5, 1.0])
def test_a_failed_poll_is_repeated_after_one_to_five_minutes_growing(run: Run, random: float) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [AGAIN])
        async with service.scheduler(q(), random=random):
            await asyncio.sleep(2 * HOUR)
            scheduled_at = service.next["q"]
            await asyncio.sleep(10 * MINUTE)
        waits = service.waits()
        assert all(MINUTE <= wait <= 5 * MINUTE for wait in waits)
        assert waits[0] < waits[1] < waits[2] == pytest.approx(waits[3])
        assert waits[3] >= 4 * MINUTE
        # The page and the metric show the actual time.
        assert any(START + at == pytest.approx(scheduled_at, abs=0.01) for at in service.polls["q"])

    run(test)


def test_once_it_succeeds_the_interval_goes_on_and_the_next_failure_begins_with_a_minute(run: Run) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [AGAIN, AGAIN, AGAIN, None, None, AGAIN, None])
        async with service.scheduler(q()):
            await asyncio.sleep(20 * HOUR)
        short, longer, longest, regular, regular_again, short_again, *_ = service.waits()
        assert short < longer < longest <= 5 * MINUTE
        assert regular == pytest.approx(6 * HOUR, abs=MAX_JITTER_SECONDS)
        assert regular_again == pytest.approx(6 * HOUR, abs=MAX_JITTER_SECONDS)
        assert short_again == pytest.approx(short)

    run(test)


def test_it_is_never_repeated_later_than_it_is_due_anyhow(run: Run) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [Retry(START + DAY)])
        async with service.scheduler(q(every=30.0)):
            await asyncio.sleep(10 * MINUTE)
        assert all(30 <= wait <= 32 for wait in service.waits())

    run(test)


def test_a_time_before_which_it_is_useless_is_kept_to(run: Run) -> None:
    async def test(clock: SettableClock) -> None:
        midnight = 12 * HOUR
        service = Service(clock, [Retry(START + midnight), Retry(START + midnight), None])
        async with service.scheduler(q("a", DAY), q("b", DAY)):
            await asyncio.sleep(DAY)
        assert service.polls["a"][1] == service.polls["b"][1] == pytest.approx(midnight + RETRY_JITTER_SECONDS / 2)

    run(test)


def test_a_poll_that_breaks_is_repeated_too(run: Run) -> None:
    async def test(clock: SettableClock) -> None:
        begun = []

        async def breaks() -> Retry | None:
            begun.append(clock.loop.time())
            raise RuntimeError("a defect")

        async with Scheduler([Job(poll_id("q"), 6 * HOUR, breaks)], Service(clock), now=clock.now):
            await asyncio.sleep(2 * MINUTE)
        assert len(begun) == 2

    run(test)


def test_after_years_of_failures_nothing_overflows(run: Run) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [AGAIN])
        async with service.scheduler(q()):
            await asyncio.sleep(5 * DAY)
        assert len(service.polls["q"]) > 1_200

    run(test)


def test_a_changed_key_polls_at_once_and_begins_the_growth_anew(run: Run) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [Retry(START + 2 * HOUR), AGAIN, None])
        async with service.scheduler(q()) as scheduler:
            await asyncio.sleep(10)
            scheduler.run_now([poll_id("q"), poll_id("unknown")])
            await asyncio.sleep(2 * MINUTE)
        assert service.polls["q"][1] == 10
        assert MINUTE <= service.waits()[1] <= 1.25 * MINUTE

    run(test)


@pytest.mark.parametrize(("result", "polls"), [(Retry(START + 2 * HOUR), 2), (None, 1)])
def test_a_key_that_changes_during_a_poll_repeats_it_only_if_it_fails(run: Run, result: Retry, polls: int) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [result, None], takes=20)
        async with service.scheduler(q()) as scheduler:
            await asyncio.sleep(10)
            scheduler.run_now([poll_id("q")])
            await asyncio.sleep(MINUTE)
        assert len(service.polls["q"]) == polls

    run(test)


def test_a_changed_interval_neither_hurries_nor_puts_off_what_is_to_be_repeated(run: Run) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [Retry(START + 3 * HOUR), None])
        async with service.scheduler(q()) as scheduler:
            await asyncio.sleep(MINUTE)
            for every in (12 * HOUR, 6 * HOUR):
                await scheduler.reconfigure([service.job(q(every=every))], interrupted=[], due=[], swap=lambda: None)
                assert service.next["q"] == pytest.approx(START + 3 * HOUR, abs=RETRY_JITTER_SECONDS)
            await scheduler.reconfigure([service.job(q(every=HOUR))], interrupted=[], due=[], swap=lambda: None)
            assert service.next["q"] == pytest.approx(START + HOUR)

    run(test)


def test_what_a_reload_removes_is_not_repeated(run: Run) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [AGAIN])
        async with service.scheduler(q("gone"), q("stays")) as scheduler:
            await asyncio.sleep(1)
            await scheduler.reconfigure([service.job(q("stays"))], interrupted=[], due=[], swap=lambda: None)
            scheduler.run_now([poll_id("gone")])
            await asyncio.sleep(HOUR)
        assert len(service.polls["gone"]) == 1
        assert len(service.polls["stays"]) > 10

    run(test)


def test_what_waits_to_be_repeated_ends_with_the_exporter(run: Run) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [AGAIN], takes=5)
        async with service.scheduler(q("a"), q("b")) as scheduler:
            await asyncio.sleep(1)
        scheduler.run_now([poll_id("a")])
        await asyncio.sleep(HOUR)
        assert service.cancelled == 2
        assert {len(polls) for polls in service.polls.values()} == {1}

    run(test)


@pytest.fixture
def fire_times(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every time that APScheduler computes for a run."""
    counted: list[object] = []
    original = IntervalTrigger.get_next_fire_time

    def count(self: IntervalTrigger, *times: object) -> object:
        counted.append(times)
        return original(self, *times)

    monkeypatch.setattr(IntervalTrigger, "get_next_fire_time", count)
    return counted


@pytest.mark.parametrize("leap", [HOUR, 31 * DAY, 20 * YEAR, 56 * YEAR])
@pytest.mark.parametrize("every", [10.0, 900.0, 30 * DAY])
def test_a_clock_that_leaps_ahead_costs_one_run_soon(
    run: Run, fire_times: list[object], leap: float, every: float
) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock)
        async with service.scheduler(q(every=every)):
            await asyncio.sleep(3)
            fire_times.clear()
            clock.set(leap)
            await asyncio.sleep(min(every, WATCH_SECONDS) + 1)
            assert len(service.polls["q"]) == (2 if leap >= every else 1)
            assert len(fire_times) <= 4
            assert service.next["q"] - clock.now() <= every + MAX_JITTER_SECONDS

    run(test)


def test_a_clock_that_leaps_while_a_poll_is_under_way_costs_no_second_one(run: Run, fire_times: list[object]) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [AGAIN], takes=2 * MINUTE)
        async with service.scheduler(q(every=HOUR)):
            await asyncio.sleep(MINUTE)
            clock.set(20 * YEAR)
            await asyncio.sleep(2.5 * MINUTE)
            assert service.skipped == 0
            assert len(service.polls["q"]) == 2, "repeated a minute after it failed"
            assert len(fire_times) < 10

    run(test)


def test_a_machine_that_starts_in_1970_polls_once_its_clock_is_right(
    monkeypatch: pytest.MonkeyPatch, fire_times: list[object]
) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [AGAIN, None])
        async with service.scheduler(q()):
            await asyncio.sleep(20)
            clock.set(START)
            await asyncio.sleep(WATCH_SECONDS)
            assert len(service.polls["q"]) == 2
            assert service.next["q"] == pytest.approx(clock.now() + 6 * HOUR, abs=MAX_JITTER_SECONDS + WATCH_SECONDS)
        assert len(fire_times) < 10

    in_virtual_time(monkeypatch, test, at=0.0)


@pytest.mark.parametrize("back", [2 * HOUR, 40 * DAY, 20 * YEAR])
@pytest.mark.parametrize("result", [None, AGAIN])
def test_a_clock_that_is_set_back_puts_no_poll_off(run: Run, back: float, result: Retry | None) -> None:
    async def test(clock: SettableClock) -> None:
        service = Service(clock, [result])
        async with service.scheduler(q(), random=1.0):
            await asyncio.sleep(30)
            clock.set(-back)
            await asyncio.sleep(WATCH_SECONDS)
            due = clock.now() + (MINUTE if result else 6 * HOUR) - 30 - WATCH_SECONDS
            assert service.next["q"] == pytest.approx(due, abs=MAX_JITTER_SECONDS), "the page says it too"
            await asyncio.sleep(6 * HOUR)
        assert service.waits()[0] == pytest.approx(MINUTE if result else 6 * HOUR, abs=MAX_JITTER_SECONDS)

    run(test)


@pytest.mark.parametrize("back", [20 * MINUTE, DAY, 20 * YEAR])
def test_a_clock_that_is_set_back_during_a_poll_that_fails_puts_the_next_one_off_no_further(
    run: Run, back: float
) -> None:
    """The quota allows a repeat only hours later; the regular poll, by the new clock, is before that."""

    async def test(clock: SettableClock) -> None:
        service = Service(clock, [Retry(clock.now() - back + 5 * HOUR), None], takes=WATCH_SECONDS - 1)
        async with service.scheduler(q(every=HOUR)):
            await asyncio.sleep(1)
            clock.set(-back)
            await asyncio.sleep(2 * HOUR)
        assert service.waits()[0] == pytest.approx(HOUR, abs=MAX_JITTER_SECONDS + WATCH_SECONDS)

    run(test)
