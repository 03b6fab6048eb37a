"""Request past days, newest first, and report what is missing."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from exporter import app
from exporter.backfill import replay
from exporter.backfill.progress import NO_PROGRESS
from exporter.core import play_dates
from exporter.core.model import merged_problems
from exporter.core.publication import PublicationRules
from exporter.errors import FlagError, UpstreamError
from exporter.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from pathlib import Path

    from exporter.backfill.progress import Progress
    from exporter.backfill.replay import HistoricalView
    from exporter.config.schema import Config
    from exporter.core.model import Query, RowProblem, Snapshot
    from exporter.core.play_dates import Settlement
    from exporter.core.poll_report import PollReport
    from exporter.daemon import Daemon

# Longer than the age of any data of the days that the service provides.
_LONG: Final = (play_dates.OLDEST_DAYS_AGO + 1) * 86_400.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Slices of a day that are missing or incomplete in a query, for one reason.

    `slices`: how many; `of`: how many slices of the day the query has.
    """

    play_date: date
    query: str
    slices: int
    of: int
    reason: str
    advice: str = ""

    def __str__(self) -> str:
        """`2024-02-23 is missing in headline (2 of 3 slices): Meter.ParamError: ...`."""
        return (
            f"{self.play_date} is missing in {self.query} ({self.slices} of {counted(self.of, 'slice')}): {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class BackfillData:
    """The data after all days were requested, and the rules by which they are published.

    * `dates`: newest first. `at`: when the backfill began (seconds since 1970).
    * `problems`: invalid values in what was requested.
    """

    snapshot: Snapshot
    rules: PublicationRules
    settlement: Settlement
    dates: tuple[date, ...]
    gaps: tuple[Gap, ...]
    at: float
    problems: tuple[RowProblem, ...] = ()

    def views(self, step: int) -> tuple[HistoricalView, ...]:
        """What `/metrics` would have shown, every `step` seconds; oldest first."""
        return replay.views(self.snapshot, self.rules, self.settlement, self.dates, step=step, now=self.at)


@dataclass(frozen=True, slots=True)
class _DayPoll:
    """The poll of one query for one day."""

    play_date: date
    query: Query
    report: PollReport

    def gaps(self) -> Iterator[Gap]:
        """The gaps of this poll, one for each reason."""
        slices: Counter[tuple[str, str]] = Counter()
        for outcome in self.report.outcomes:
            reasons = {(f"{error.code}: {error.message}", error.advice) for error in outcome.errors}
            if outcome.short_by:
                reasons.add((f"the service counted {outcome.short_by} more media than it listed", ""))
            slices.update(reasons)
        for (reason, advice), count in slices.items():
            yield Gap(self.play_date, self.query.name, count, len(self.report.outcomes), reason, advice)


async def fetch(
    config: Config,
    runtime: app.Runtime,
    count: int,
    progress: Progress,
    storage_path: Path | None = None,
) -> BackfillData:
    """Request the last `count` play dates, except data in storage that was observed once its day could be final.

    Searches run first: their media are those found now. Each day is stored when it is complete, so that an interrupted
    backfill can be continued.

    Raises StartError, and FlagError when none of the days can be written yet.
    """
    settlement = config.settlement
    at = runtime.now()
    dates = replay.past_dates(at, count, settlement)
    if not dates:
        yesterday = play_dates.play_date(at, 1)
        first = datetime.fromtimestamp(replay.writable_from(yesterday, settlement), play_dates.PLAY_TIME_ZONE)
        raise FlagError(f"--days={count}: {yesterday} can be written from {first:%F %H:%M} UTC+8 on; ask for more days")
    async with app.assemble_daemon(_backfill_config(config, count), runtime, storage_path) as daemon:
        queries, gaps = await _searched(daemon, replay.past_queries(config.core_queries()), dates)
        slots = {account.name: asyncio.Semaphore(account.limits.concurrency) for account in config.accounts}

        async def poll_day(play_date: date, query: Query) -> _DayPoll:
            async with slots[query.account]:
                now = runtime.now()
                # As interval, the time since the day could be final: whatever was observed since then is fresh.
                day_query = replace(
                    query,
                    name=f"{query.name} {play_date}",
                    every=now - play_dates.start(play_date) - settlement.after,
                    days_ago=(play_dates.days_ago(now, play_date),),
                )
                report = await daemon.poller.poll(day_query)
                await daemon.persist(report)
                return _DayPoll(play_date, query, report)

        progress.begin("fetching", len(dates) * sum(len(query.dimensions) for query in queries), "slice")
        async with asyncio.TaskGroup() as group:
            # Semaphores are fair, so days are polled in this order: if calls_per_day runs out, the oldest are missing.
            tasks = [group.create_task(poll_day(play_date, query)) for play_date in dates for query in queries]
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, timeout=NO_PROGRESS, return_when=asyncio.FIRST_COMPLETED)
                _report(progress, done)
        polls = [task.result() for task in tasks]
        return BackfillData(
            daemon.poller.snapshot,
            PublicationRules(queries, config.stale_after, config.series_limit),
            settlement,
            dates,
            (*gaps, *(gap for poll in polls for gap in poll.gaps())),
            at,
            merged_problems(
                problem for poll in polls for outcome in poll.report.outcomes for problem in outcome.problems
            ),
        )


async def _searched(
    daemon: Daemon, queries: Iterable[Query], dates: tuple[date, ...]
) -> tuple[tuple[Query, ...], list[Gap]]:
    """The queries with the media that their searches find now; those whose search finds none are gaps instead."""
    found: list[Query] = []
    gaps: list[Gap] = []
    for query in queries:
        await daemon.discovery.refresh_search(query)  # for one with a result in storage; if it fails, that stays
        outcome = await daemon.discovery.with_media(query)
        if isinstance(outcome, UpstreamError):
            reason, advice = f"its search failed: {outcome.code}: {outcome.message}", outcome.advice
        elif outcome.finds_nothing:
            reason, advice = "its search finds no media", "Correct the conditions of the search."
        else:
            found.append(replace(query, media=outcome.media))
            continue
        slices = len(query.dimensions)
        gaps += (Gap(play_date, query.name, slices, slices, reason, advice) for play_date in dates)
    return tuple(found), gaps


def _backfill_config(config: Config, count: int) -> Config:
    """The configuration with every query covering all these days, so that queries share the requests for a day."""
    days = {"days_ago": tuple(range(1, count + 1)), "every": _LONG, "expected": False}
    return config.model_copy(update={"queries": tuple(query.model_copy(update=days) for query in config.queries)})


def _report(progress: Progress, done: set[asyncio.Task[_DayPoll]]) -> None:
    if not done:
        progress.advance(0)
    for day in (task.result() for task in done):
        text = f"fetched {day.query.name} {day.play_date}, {day.report.result.value}"
        progress.advance(len(day.report.outcomes), text)
