"""Poll each query now and every interval, sooner after a failure; knows when, not what a poll is."""

from __future__ import annotations

import asyncio
import random as randomness
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, Self

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from exporter.core.retry import Retry
from exporter.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from exporter.core.model import Query

# Queries with the same interval drift apart by up to this part of it, so that they do not all ask at once.
JITTER: Final = 0.05
MAX_JITTER_SECONDS: Final = 30.0
# A poll that failed is repeated after a random part of this, never less than 4/5 of it; it doubles up to the longest.
FIRST_RETRY_SECONDS: Final = 75.0
LONGEST_RETRY_SECONDS: Final = 300.0
_DOUBLINGS: Final = 2
# Queries that wait for the same instant (the end of a pause, midnight) begin within so many seconds after it.
RETRY_JITTER_SECONDS: Final = 15.0
# How often the clock is compared with one that cannot be set.
WATCH_SECONDS: Final = 10.0
# A clock that is adjusted gradually differs by less than this.
CLOCK_TOLERANCE_SECONDS: Final = 60.0


class ScheduleObserver(Protocol):
    """Who is told how polling goes on."""

    def poll_skipped(self, query: str) -> None:
        """It was time to poll but the poll before has not ended."""
        ...

    def next_poll(self, query: str, at: float) -> None:
        """The next poll begins at `at` (seconds since 1970)."""
        ...


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of APScheduler and the poll in it."""

    task: asyncio.Task[None] | None
    poll: asyncio.Future[Retry | None]


@dataclass(slots=True)
class _Plan:
    """When a query was polled last, and is polled next.

    * `began`: by the clock, its last poll. `due`: by the event loop's clock, which is never set, the next one.
    * `failures`: how many polls in a row are to be repeated.
    * `again`: if the poll under way fails, it is repeated at once.
    """

    began: float
    due: float
    failures: int = 0
    again: bool = False


class _Interval(IntervalTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Every interval, but never in the past.

    APScheduler lists every run missed between the last one and now before it drops all but one: millions after a clock
    that started in 1970 is set.
    """

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The run after the previous one; where that is missed already, an interval from now."""
        following: datetime | None = super().get_next_fire_time(previous_fire_time, now)
        return following if following is None or following > now else super().get_next_fire_time(now, now)


class Scheduler:
    """Runs `poll(query)` for every query while the context is entered; leaving it ends polls under way.

    `poll` handles its own failures and returns when to repeat it, None where all went well; a run ends when the poll
    does, so that one query never polls twice at a time. `random` is uniform from 0 to 1.
    """

    def __init__(
        self,
        queries: Iterable[Query],
        poll: Callable[[Query], Awaitable[Retry | None]],
        schedule: ScheduleObserver,
        *,
        now: Callable[[], float] = time.time,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._queries = {query.name: query for query in queries}
        self._poll = poll
        self._schedule = schedule
        self._now = now
        self._random = random
        self._polling = False
        self._runs: dict[str, _Run] = {}
        self._plans: dict[str, _Plan] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            # The default grace of a second drops every run that comes late, on a busy loop or after a laptop slept.
            # One poll at a time is seen to in `_run`: APScheduler's own limit would warn of it beside what we say.
            job_defaults={"max_instances": sys.maxsize, "coalesce": True, "misfire_grace_time": None},
        )

    async def __aenter__(self) -> Self:
        """Begin: every query is due at once."""
        self._loop = asyncio.get_running_loop()
        for query in self._queries.values():
            self._add(query)
        self._scheduler.start()
        self._watch = asyncio.ensure_future(self._watch_clock())
        self._polling = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """End: no further poll begins, those under way are cancelled and awaited."""
        self._polling = False
        self._watch.cancel()
        self._scheduler.pause()
        await self._interrupt(self._runs)
        await asyncio.gather(self._watch, return_exceptions=True)
        self._scheduler.shutdown(wait=False)

    def poll_now(self, names: Collection[str]) -> None:
        """Poll these queries at once; one that is being polled is polled again if that poll fails."""
        for name in names:
            if name in self._runs:
                self._plans[name].again = True
            elif name in self._plans and self._polling:
                self._plans[name].failures = 0
                self._poll_at(name, self._now())

    async def reconfigure(
        self, queries: Iterable[Query], *, interrupted: Collection[str], due: Collection[str], swap: Callable[[], None]
    ) -> None:
        """Poll these queries from now on, and call `swap` while none of the interrupted is polled (both by name).

        Polls of the interrupted, and of what is gone, are cancelled, and begin again at once where the query stays; so
        does what is due, unless it is being polled. Any other query goes on in its time. Raises StartError, with
        nothing changed, while nothing is polled yet or any more.
        """
        self._check_polling()
        wanted = {query.name: query for query in queries}
        self._scheduler.pause()
        try:
            # What APScheduler has just begun must get as far as to be interrupted.
            await asyncio.sleep(0)
            cut = await self._interrupt({*interrupted, *(self._queries.keys() - wanted.keys())})
            self._check_polling()
            swap()
            self._replan(wanted, cut.union(due))
        finally:
            if self._polling:
                self._scheduler.resume()

    def _check_polling(self) -> None:
        if not self._polling:
            raise StartError("the exporter is starting or stopping; try again when it is up")

    async def _interrupt(self, names: Collection[str]) -> set[str]:
        """Cancel polls and wait for their end; the names of those that were under way."""
        runs = {name: run for name, run in self._runs.items() if name in names}
        for run in runs.values():
            run.poll.cancel()
        # Not gathered: whoever waits may be cancelled, and runs of APScheduler must not be.
        if ending := [run.task for run in runs.values() if run.task]:
            await asyncio.wait(ending)
        return set(runs)

    def _replan(self, queries: dict[str, Query], due: Collection[str]) -> None:
        before, self._queries = self._queries, queries
        for name in before.keys() - self._queries.keys():
            self._scheduler.remove_job(name)
            del self._plans[name]
        for name, query in self._queries.items():
            if name not in before:
                self._add(query)
                continue
            if query.every != before[name].every:
                self._scheduler.modify_job(name, trigger=_trigger(query))
                regular = min(self._plans[name].began, self._now()) + query.every
                is_retry = self._plans[name].failures > 0
                self._poll_at(name, min(regular, self._next_run(name)) if is_retry else regular)
            if name in due:
                self._plans[name].failures = 0
                if name not in self._runs:
                    self._poll_at(name, self._now())

    def _add(self, query: Query) -> None:
        self._scheduler.add_job(
            self._run,
            _trigger(query),
            args=(query.name,),
            id=query.name,
            name=f"poll {query.name}",
            next_run_time=datetime.fromtimestamp(self._now(), UTC),
        )
        self._plans[query.name] = _Plan(began=self._now(), due=self._loop.time())
        self._tell_next(query.name)

    async def _watch_clock(self) -> None:
        """Keep to the time that has passed where the clock, to which APScheduler keeps, was set.

        Set back, it must not put a poll off; set forward, or after the machine slept, what is due by it is polled now
        and not when APScheduler's timer ends.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now, passed = self._now(), self._loop.time()
            for name, plan in self._plans.items():
                planned = now + plan.due - passed
                is_put_off = self._next_run(name) > planned + CLOCK_TOLERANCE_SECONDS
                # Due by a clock that leapt while it is being polled: no poll is skipped for that.
                is_early = name in self._runs and self._next_run(name) <= now < planned
                if is_put_off or is_early:
                    self._poll_at(name, planned)
            if any(self._next_run(name) <= now for name in self._plans):
                self._scheduler.wakeup()

    async def _run(self, name: str) -> None:
        """One run; the poll is a task of its own because APScheduler prints a traceback for a cancelled run."""
        query = self._queries[name]
        if name in self._runs:
            self._schedule.poll_skipped(name)
            self._tell_next(name)
            return
        plan = self._plans[name]
        plan.began, plan.again = self._now(), False
        poll = asyncio.ensure_future(self._poll(query))
        self._runs[name] = _Run(asyncio.current_task(), poll)
        try:
            self._tell_next(name)
            await asyncio.wait({poll})
            if not poll.cancelled():
                retry: Retry | None = Retry()
                try:
                    retry = poll.result()  # a defect: APScheduler logs it and goes on
                finally:
                    self._ended(name, retry)
        finally:
            del self._runs[name]

    def _ended(self, name: str, retry: Retry | None) -> None:
        """A poll has ended: after a failure the next one comes sooner than the interval says, never later."""
        plan = self._plans[name]
        plan.failures = 0 if retry is None or plan.again else plan.failures + 1
        if retry is None:
            return
        now = self._now()
        if plan.again:
            at = now
        elif retry.not_before > now:
            at = retry.not_before + RETRY_JITTER_SECONDS * self._random()
        else:
            longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(plan.failures - 1, _DOUBLINGS))
            at = now + longest * (1 - self._random() / 5)
        if at < self._next_run(name):
            self._poll_at(name, at)

    def _next_run(self, name: str) -> float:
        at: float = self._scheduler.get_job(name).next_run_time.timestamp()
        return at

    def _poll_at(self, name: str, at: float) -> None:
        self._scheduler.modify_job(name, next_run_time=datetime.fromtimestamp(max(at, self._now()), UTC))
        self._tell_next(name)

    def _tell_next(self, name: str) -> None:
        at = self._next_run(name)
        self._plans[name].due = self._loop.time() + at - self._now()
        self._schedule.next_poll(name, at)


def _trigger(query: Query) -> _Interval:
    jitter = min(query.every * JITTER, MAX_JITTER_SECONDS)
    return _Interval(seconds=query.every, jitter=jitter, timezone=UTC)
