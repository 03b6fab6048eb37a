"""Schedule polls: every query at the start and at its interval, sooner after a failure."""

from __future__ import annotations

import asyncio
import random as randomness
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol, Self

from apscheduler.events import EVENT_JOB_SUBMITTED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from exporter.core.retry import Retry
from exporter.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from exporter.core.model import Query

# Random deviation from the interval, as a fraction of it, so that queries with the same interval spread out.
JITTER: Final = 0.05
MAX_JITTER_SECONDS: Final = 30.0
# A failed poll is retried after 4/5 to all of this; the delay doubles with each failure up to the longest.
FIRST_RETRY_SECONDS: Final = 75.0
LONGEST_RETRY_SECONDS: Final = 300.0
_DOUBLINGS: Final = 2
# Queries that wait for the same instant (the end of a pause, midnight) start within this many seconds after it.
RETRY_JITTER_SECONDS: Final = 15.0
# How often the wall clock is compared with the monotonic clock.
WATCH_SECONDS: Final = 10.0
# Gradual adjustments of the wall clock (NTP slewing) stay below this.
CLOCK_TOLERANCE_SECONDS: Final = 60.0


class ScheduleObserver(Protocol):
    """Receives events of the schedule."""

    def poll_skipped(self, query: str) -> None:
        """A poll was due while the previous one was still running."""
        ...

    def next_poll(self, query: str, at: float) -> None:
        """The next poll starts at `at` (seconds since 1970)."""
        ...


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of an APScheduler job, and the poll it started."""

    task: asyncio.Task[None] | None
    poll: asyncio.Future[Retry | None]


@dataclass(slots=True)
class _Plan:
    """When a query was last polled, and when it is polled next.

    * `began`: start of its last poll, by the wall clock. `due`: the next one, by the event loop's monotonic clock.
    * `failures`: number of consecutive polls that asked for a retry.
    * `again`: if the running poll fails, retry it immediately.
    """

    began: float
    due: float
    failures: int = 0
    again: bool = False


class _Interval(IntervalTrigger):  # type: ignore[misc]  # APScheduler has no types
    """An interval trigger that never returns a time in the past.

    APScheduler lists every missed run before it coalesces them: millions after a clock that started in 1970 is set.
    """

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The run after the previous one; if that is already past, one interval from now."""
        following: datetime | None = super().get_next_fire_time(previous_fire_time, now)
        return following if following is None or following > now else super().get_next_fire_time(now, now)


class Scheduler:
    """Runs `poll(query)` for every query while the context is entered; leaving it cancels running polls.

    `poll` handles its own failures and returns when to retry, or None after a success. A query is never polled twice
    at the same time. `random` is uniform from 0 to 1.
    """

    def __init__(
        self,
        queries: Iterable[Query],
        poll: Callable[[Query], Awaitable[Retry | None]],
        observer: ScheduleObserver,
        *,
        now: Callable[[], float] = time.time,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._queries = {query.name: query for query in queries}
        self._poll = poll
        self._observer = observer
        self._now = now
        self._random = random
        self._polling = False
        self._runs: dict[str, _Run] = {}
        self._plans: dict[str, _Plan] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            # The default grace time of 1 s drops every late run, on a busy loop or after the machine slept. `_run`
            # prevents overlapping polls: APScheduler's own limit would log a second warning.
            job_defaults={"max_instances": sys.maxsize, "coalesce": True, "misfire_grace_time": None},
        )
        # Not first in `_run`, whose task starts later: `_watch_clock` would run in between, see the next regular run
        # beside the old due time, and start a second poll.
        self._scheduler.add_listener(lambda event: self._report_next(event.job_id), EVENT_JOB_SUBMITTED)

    async def __aenter__(self) -> Self:
        """Start polling; every query is due immediately."""
        self._loop = asyncio.get_running_loop()
        for query in self._queries.values():
            self._add(query)
        self._scheduler.start()
        self._watch = asyncio.ensure_future(self._watch_clock())
        self._polling = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop polling: start no further poll, cancel running ones and wait for them."""
        self._polling = False
        self._watch.cancel()
        self._scheduler.pause()
        await self._interrupt(self._runs)
        await asyncio.gather(self._watch, return_exceptions=True)
        self._scheduler.shutdown(wait=False)

    def poll_now(self, names: Collection[str]) -> None:
        """Poll these queries now; one that is being polled is polled again if that poll fails."""
        for name in names:
            if name in self._runs:
                self._plans[name].again = True
            elif name in self._plans and self._polling:
                self._plans[name].failures = 0
                self._poll_at(name, self._now())

    async def reconfigure(
        self, queries: Iterable[Query], *, interrupted: Collection[str], due: Collection[str], swap: Callable[[], None]
    ) -> None:
        """Schedule these queries, and call `swap` while none of the interrupted queries is being polled.

        `interrupted` and `due` are names. Running polls of interrupted and removed queries are cancelled. Queries that
        remain of these, and those that are due and not being polled, are polled now. All others keep their schedule.

        Raises StartError, with nothing changed, before polling starts and after it stops.
        """
        self._check_polling()
        new_queries = {query.name: query for query in queries}
        self._scheduler.pause()
        try:
            # Let runs that APScheduler has just submitted start their polls, so that these can be cancelled.
            await asyncio.sleep(0)
            cancelled = await self._interrupt({*interrupted, *(self._queries.keys() - new_queries.keys())})
            self._check_polling()
            swap()
            self._replan(new_queries, cancelled.union(due))
        finally:
            if self._polling:
                self._scheduler.resume()

    def _check_polling(self) -> None:
        if not self._polling:
            raise StartError("the exporter is starting or stopping; try again when it is up")

    async def _interrupt(self, names: Collection[str]) -> set[str]:
        """Cancel polls and wait until they have ended; returns the names of those that were running."""
        runs = {name: run for name, run in self._runs.items() if name in names}
        for run in runs.values():
            run.poll.cancel()
        # Not gather(): if the caller is cancelled, it would cancel the runs of APScheduler too.
        if tasks := [run.task for run in runs.values() if run.task]:
            await asyncio.wait(tasks)
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
        self._report_next(query.name)

    async def _watch_clock(self) -> None:
        """Correct the schedule when the wall clock, which APScheduler uses, is set.

        A clock that is set back must not delay polls. After one that is set forward, or after the machine slept, due
        polls start now and not when APScheduler's timer expires.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now, passed = self._now(), self._loop.time()
            for name, plan in self._plans.items():
                planned = now + plan.due - passed
                is_delayed = self._next_run(name) > planned + CLOCK_TOLERANCE_SECONDS
                # Due only because the clock was set forward during a poll: do not count the running poll as overlapped.
                is_early = name in self._runs and self._next_run(name) <= now < planned
                if is_delayed or is_early:
                    self._poll_at(name, planned)
            if any(self._next_run(name) <= now for name in self._plans):
                self._scheduler.wakeup()

    async def _run(self, name: str) -> None:
        """Run one poll, in a task of its own: APScheduler logs a traceback for a job that is cancelled."""
        query = self._queries[name]
        if name in self._runs:
            self._observer.poll_skipped(name)
            return
        plan = self._plans[name]
        plan.began, plan.again = self._now(), False
        poll = asyncio.ensure_future(self._poll(query))
        self._runs[name] = _Run(asyncio.current_task(), poll)
        try:
            await asyncio.wait({poll})
            if not poll.cancelled():
                retry: Retry | None = Retry()
                try:
                    retry = poll.result()  # raises only for a defect, which APScheduler logs
                finally:
                    self._poll_ended(name, retry)
        finally:
            del self._runs[name]

    def _poll_ended(self, name: str, retry: Retry | None) -> None:
        """After a failure, move the next poll to before the regular one, never to after it."""
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
            delay = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(plan.failures - 1, _DOUBLINGS))
            at = now + delay * (1 - self._random() / 5)
        if at < self._next_run(name):
            self._poll_at(name, at)

    def _next_run(self, name: str) -> float:
        at: float = self._scheduler.get_job(name).next_run_time.timestamp()
        return at

    def _poll_at(self, name: str, at: float) -> None:
        self._scheduler.modify_job(name, next_run_time=datetime.fromtimestamp(max(at, self._now()), UTC))
        self._report_next(name)

    def _report_next(self, name: str) -> None:
        at = self._next_run(name)
        self._plans[name].due = self._loop.time() + at - self._now()
        self._observer.next_poll(name, at)


def _trigger(query: Query) -> _Interval:
    jitter = min(query.every * JITTER, MAX_JITTER_SECONDS)
    return _Interval(seconds=query.every, jitter=jitter, timezone=UTC)
