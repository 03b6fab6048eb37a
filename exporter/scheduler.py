"""Poll each query now and every interval; knows when, not what a poll is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol, Self

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

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


class Scheduler:
    """Runs `poll(query)` for every query while the context is entered; leaving it ends polls under way.

    `poll` handles its own failures; a run ends when the poll does, so that one query never polls twice at a time.
    """

    def __init__(self, queries: Iterable[Query], poll: Callable[[Query], Awaitable[None]], schedule: Schedule) -> None:
        self._queries = {query.name: query for query in queries}
        self._poll = poll
        self._schedule = schedule
        self._runs: dict[asyncio.Task[None] | None, asyncio.Future[None]] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            # The default grace of a second drops every run that comes late, on a busy loop or after a laptop slept.
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
        )

    async def __aenter__(self) -> Self:
        """Begin: every query is due at once."""
        self._scheduler.add_listener(self._skipped, EVENT_JOB_MAX_INSTANCES)
        for query in self._queries.values():
            jitter = min(query.every * JITTER, MAX_JITTER_SECONDS)
            self._scheduler.add_job(
                self._run,
                IntervalTrigger(seconds=query.every, jitter=jitter, timezone=UTC),
                args=(query,),
                id=query.name,
                name=f"poll {query.name}",
                next_run_time=datetime.now(UTC),
            )
        self._scheduler.start()
        self._watch = asyncio.ensure_future(self._watch_clock())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """End: no further poll begins, those under way are cancelled and awaited."""
        self._watch.cancel()
        self._scheduler.pause()
        for poll in self._runs.values():
            poll.cancel()
        await asyncio.gather(self._watch, *(run for run in self._runs if run), return_exceptions=True)
        self._scheduler.shutdown(wait=False)

    async def _watch_clock(self) -> None:
        """Poll now what is due later than its interval from now: APScheduler keeps to a clock that can be set back."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for query in self._queries.values():
                job = self._scheduler.get_job(query.name)
                latest = datetime.now(UTC) + timedelta(seconds=query.every + 2 * MAX_JITTER_SECONDS)
                if job is not None and job.next_run_time is not None and job.next_run_time > latest:
                    job.modify(next_run_time=datetime.now(UTC))

    async def _run(self, query: Query) -> None:
        """One run; the poll is a task of its own because APScheduler prints a traceback for a cancelled run."""
        run = asyncio.current_task()
        poll = asyncio.ensure_future(self._poll(query))
        self._runs[run] = poll
        try:
            self._tell_next(query)
            await asyncio.wait({poll})
            if not poll.cancelled():
                poll.result()  # a defect: APScheduler logs it and goes on
        finally:
            del self._runs[run]

    def _skipped(self, event: JobSubmissionEvent) -> None:
        self._schedule.poll_skipped(event.job_id)
        self._tell_next(self._queries[event.job_id])

    def _tell_next(self, query: Query) -> None:
        job = self._scheduler.get_job(query.name)
        if job is not None and job.next_run_time is not None:
            self._schedule.next_poll(query.name, job.next_run_time.timestamp())
