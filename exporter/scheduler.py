"""Poll each query now and every interval; knows when, not what a poll is."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol, Self

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from exporter.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from exporter.core.model import Query

# Queries with the same interval drift apart by up to this part of it, so that they do not all ask at once.
JITTER: Final = 0.05
MAX_JITTER_SECONDS: Final = 30.0
# How often it is looked whether a run has moved into the far future, because the clock was set back.
WATCH_SECONDS: Final = 10.0


class Schedule(Protocol):
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
    poll: asyncio.Future[None]


class Scheduler:
    """Runs `poll(query)` for every query while the context is entered; leaving it ends polls under way.

    `poll` handles its own failures; a run ends when the poll does, so that one query never polls twice at a time.
    """

    def __init__(self, queries: Iterable[Query], poll: Callable[[Query], Awaitable[None]], schedule: Schedule) -> None:
        self._queries = {query.name: query for query in queries}
        self._poll = poll
        self._schedule = schedule
        self._polling = False
        self._runs: dict[str, _Run] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            # The default grace of a second drops every run that comes late, on a busy loop or after a laptop slept.
            # One poll at a time is seen to in `_run`: APScheduler's own limit would warn of it beside what we say.
            job_defaults={"max_instances": sys.maxsize, "coalesce": True, "misfire_grace_time": None},
        )

    async def __aenter__(self) -> Self:
        """Begin: every query is due at once."""
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

    async def follow(
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
        now = datetime.now(UTC)
        for name, query in self._queries.items():
            if name not in before:
                self._add(query)
            elif query.every != before[name].every:
                job = self._scheduler.get_job(name)
                began = job.next_run_time - timedelta(seconds=before[name].every)
                every = timedelta(seconds=query.every)
                at = max(now, min(began, now) + every)  # the jitter of before may put it after now
                job.modify(trigger=_trigger(query), next_run_time=at)
            if name in due and name not in self._runs:
                self._scheduler.modify_job(name, next_run_time=now)
            self._tell_next(query)

    def _add(self, query: Query) -> None:
        self._scheduler.add_job(
            self._run,
            _trigger(query),
            args=(query.name,),
            id=query.name,
            name=f"poll {query.name}",
            next_run_time=datetime.now(UTC),
        )

    async def _watch_clock(self) -> None:
        """Poll now what is due later than its interval from now: APScheduler keeps to a clock that can be set back."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for query in self._queries.values():
                job = self._scheduler.get_job(query.name)
                latest = datetime.now(UTC) + timedelta(seconds=query.every + 2 * MAX_JITTER_SECONDS)
                if job is not None and job.next_run_time is not None and job.next_run_time > latest:
                    job.modify(next_run_time=datetime.now(UTC))

    async def _run(self, name: str) -> None:
        """One run; the poll is a task of its own because APScheduler prints a traceback for a cancelled run."""
        query = self._queries[name]
        if name in self._runs:
            self._schedule.poll_skipped(name)
            self._tell_next(query)
            return
        poll = asyncio.ensure_future(self._poll(query))
        self._runs[name] = _Run(asyncio.current_task(), poll)
        try:
            self._tell_next(query)
            await asyncio.wait({poll})
            if not poll.cancelled():
                poll.result()  # a defect: APScheduler logs it and goes on
        finally:
            del self._runs[name]

    def _tell_next(self, query: Query) -> None:
        job = self._scheduler.get_job(query.name)
        if job is not None and job.next_run_time is not None:
            self._schedule.next_poll(query.name, job.next_run_time.timestamp())


def _trigger(query: Query) -> IntervalTrigger:
    jitter = min(query.every * JITTER, MAX_JITTER_SECONDS)
    return IntervalTrigger(seconds=query.every, jitter=jitter, timezone=UTC)
