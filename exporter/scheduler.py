"""Run jobs: each at the start and at its interval, sooner after a failure."""

from __future__ import annotations

import asyncio
import random as randomness
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from apscheduler.events import EVENT_JOB_SUBMITTED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from exporter.core.retry import Retry
from exporter.errors import StartError
from exporter.jobs import JobId, parse_job_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from exporter.jobs import Job, ScheduleObserver

# Random deviation from the interval, as a fraction of it, so that jobs with the same interval spread out.
JITTER: Final = 0.05
MAX_JITTER_SECONDS: Final = 30.0
# A failed run is retried after 4/5 to all of this; the delay doubles with each failure up to the longest.
FIRST_RETRY_SECONDS: Final = 75.0
LONGEST_RETRY_SECONDS: Final = 300.0
_DOUBLINGS: Final = 2
# Jobs that wait for the same instant (the end of a pause, midnight) start within this many seconds after it.
RETRY_JITTER_SECONDS: Final = 15.0
# How often the wall clock is compared with the monotonic clock.
WATCH_SECONDS: Final = 10.0
# Gradual adjustments of the wall clock (NTP slewing) stay below this.
CLOCK_TOLERANCE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Run:
    """The task of APScheduler that runs a job, and the work it started."""

    task: asyncio.Task[None] | None
    work: asyncio.Future[Retry | None]


@dataclass(slots=True)
class _Plan:
    """When a job last ran, and when it runs next.

    * `began`: start of its last run, by the wall clock. `due`: the next one, by the event loop's monotonic clock.
    * `failures`: number of consecutive runs that returned a Retry.
    * `again`: if the job is running and fails, retry it immediately.
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
    """Runs jobs while the context is entered; leaving it cancels those that are running.

    A job never runs twice at the same time. `random` is uniform from 0 to 1.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        observer: ScheduleObserver,
        *,
        now: Callable[[], float] = time.time,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._jobs = {job.id: job for job in jobs}
        self._observer = observer
        self._now = now
        self._random = random
        self._is_active = False
        self._runs: dict[JobId, _Run] = {}
        self._plans: dict[JobId, _Plan] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            # The default grace time of 1 s drops every late run, on a busy loop or after the machine slept. `_run`
            # prevents overlapping runs: APScheduler's own limit would log a second warning.
            job_defaults={"max_instances": sys.maxsize, "coalesce": True, "misfire_grace_time": None},
        )
        # When a run is submitted, not when `_run` starts: in between, `_watch_clock` would compare the next regular run
        # with the old due time, and start a second poll.
        self._scheduler.add_listener(lambda event: self._report_next(parse_job_id(event.job_id)), EVENT_JOB_SUBMITTED)

    async def __aenter__(self) -> Self:
        """Start; every job is due immediately."""
        self._loop = asyncio.get_running_loop()
        for job in self._jobs.values():
            self._add(job)
        self._scheduler.start()
        self._watch = asyncio.ensure_future(self._watch_clock())
        self._is_active = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop: start no further run, cancel those in progress and wait for them."""
        self._is_active = False
        self._watch.cancel()
        self._scheduler.pause()
        await self._interrupt(self._runs)
        await asyncio.gather(self._watch, return_exceptions=True)
        self._scheduler.shutdown(wait=False)

    def run_now(self, jobs: Iterable[JobId]) -> None:
        """Run these jobs now; one that is running runs again if it fails."""
        for job in jobs:
            if job in self._runs:
                self._plans[job].again = True
            elif job in self._plans and self._is_active:
                self._plans[job].failures = 0
                self._run_at(job, self._now())

    async def reconfigure(
        self, jobs: Iterable[Job], *, interrupted: Collection[JobId], due: Collection[JobId], swap: Callable[[], None]
    ) -> None:
        """Schedule these jobs, and call `swap` while none of the interrupted jobs is running.

        Runs of interrupted and removed jobs are cancelled. Interrupted jobs that remain, and due jobs that are not
        running, run now. All others keep their schedule.

        Raises StartError, with nothing changed, before the scheduler starts and after it stops.
        """
        self._check_active()
        new_jobs = {job.id: job for job in jobs}
        self._scheduler.pause()
        try:
            # Let runs that APScheduler has just submitted start their work, so that it can be cancelled.
            await asyncio.sleep(0)
            cancelled = await self._interrupt({*interrupted, *(self._jobs.keys() - new_jobs.keys())})
            self._check_active()
            swap()
            self._replan(new_jobs, cancelled.union(due))
        finally:
            if self._is_active:
                self._scheduler.resume()

    def _check_active(self) -> None:
        if not self._is_active:
            raise StartError("the exporter is starting or stopping; try again when it is up")

    async def _interrupt(self, jobs: Collection[JobId]) -> set[JobId]:
        """Cancel runs and wait until they have ended; returns the jobs that were running."""
        runs = {job: run for job, run in self._runs.items() if job in jobs}
        for run in runs.values():
            run.work.cancel()
        # Not gather(): if the caller is cancelled, it would cancel the runs of APScheduler too.
        if tasks := [run.task for run in runs.values() if run.task]:
            await asyncio.wait(tasks)
        return set(runs)

    def _replan(self, jobs: dict[JobId, Job], due: Collection[JobId]) -> None:
        before, self._jobs = self._jobs, jobs
        for removed in before.keys() - self._jobs.keys():
            self._scheduler.remove_job(str(removed))
            del self._plans[removed]
        for id_, job in self._jobs.items():
            if id_ not in before:
                self._add(job)
                continue
            plan = self._plans[id_]
            if job.every != before[id_].every:
                self._scheduler.modify_job(str(id_), trigger=_trigger(job))
                regular = min(plan.began, self._now()) + job.every
                self._run_at(id_, min(regular, self._next_run(id_)) if plan.failures else regular)
            if id_ in due:
                plan.failures = 0
                if id_ not in self._runs:
                    self._run_at(id_, self._now())

    def _add(self, job: Job) -> None:
        self._scheduler.add_job(
            self._run,
            _trigger(job),
            args=(job.id,),
            id=str(job.id),
            name=str(job.id),
            next_run_time=datetime.fromtimestamp(self._now(), UTC),
        )
        self._plans[job.id] = _Plan(began=self._now(), due=self._loop.time())
        self._report_next(job.id)

    async def _watch_clock(self) -> None:
        """Correct the schedule when the wall clock, which APScheduler uses, is set.

        A clock that is set back must not delay runs. After one that is set forward, or after the machine slept, due
        runs start now and not when APScheduler's timer expires.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now, passed = self._now(), self._loop.time()
            for job, plan in self._plans.items():
                planned = now + plan.due - passed
                is_delayed = self._next_run(job) > planned + CLOCK_TOLERANCE_SECONDS
                # Due only because the clock was set forward during a run: do not count that run as overlapped.
                is_early = job in self._runs and self._next_run(job) <= now < planned
                if is_delayed or is_early:
                    self._run_at(job, planned)
            if any(self._next_run(job) <= now for job in self._plans):
                self._scheduler.wakeup()

    async def _run(self, job: JobId) -> None:
        """Run a job once, in a task of its own: APScheduler logs a traceback for a job that is cancelled."""
        if job in self._runs:
            self._observer.run_skipped(job)
            return
        plan = self._plans[job]
        plan.began, plan.again = self._now(), False
        work = asyncio.ensure_future(self._jobs[job].run())
        self._runs[job] = _Run(asyncio.current_task(), work)
        try:
            await asyncio.wait({work})
            if not work.cancelled():
                retry: Retry | None = Retry()
                try:
                    retry = work.result()  # raises only for a defect, which APScheduler logs
                finally:
                    self._ended(job, retry)
        finally:
            del self._runs[job]

    def _ended(self, job: JobId, retry: Retry | None) -> None:
        """After a failure, move the next run to before the regular one, never to after it."""
        plan = self._plans[job]
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
        # The regular run by the monotonic clock: if the clock was set back, APScheduler's is too late.
        at = min(at, now + plan.due - self._loop.time())
        if at < self._next_run(job):
            self._run_at(job, at)

    def _next_run(self, job: JobId) -> float:
        at: float = self._scheduler.get_job(str(job)).next_run_time.timestamp()
        return at

    def _run_at(self, job: JobId, at: float) -> None:
        self._scheduler.modify_job(str(job), next_run_time=datetime.fromtimestamp(max(at, self._now()), UTC))
        self._report_next(job)

    def _report_next(self, job: JobId) -> None:
        at = self._next_run(job)
        self._plans[job].due = self._loop.time() + at - self._now()
        self._observer.next_run(job, at)


def _trigger(job: Job) -> _Interval:
    jitter = min(job.every * JITTER, MAX_JITTER_SECONDS)
    return _Interval(seconds=job.every, jitter=jitter, timezone=UTC)
