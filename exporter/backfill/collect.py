"""Ask for past days, newest first, and say what was not got; for the command that writes them down."""

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
from exporter.core.play_dates import Settlement
from exporter.core.publication import PublicationRules
from exporter.errors import FlagError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from exporter.backfill.progress import Progress
    from exporter.backfill.replay import HistoricalView
    from exporter.config.schema import Config
    from exporter.core.model import Query, Snapshot
    from exporter.core.poller import PollReport

# Longer ago than anything was heard of the days the service answers for.
_LONG: Final = (play_dates.OLDEST_DAYS_AGO + 1) * 86_400.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Slices of a day that a query did not get, or not all of, for one reason."""

    play_date: date
    query: str
    slices: int
    of: int
    reason: str
    advice: str = ""

    def __str__(self) -> str:
        """`2024-02-23 is missing in headline (2 of 3 slices): Meter.ParamError: ...`."""
        return f"{self.play_date} is missing in {self.query} ({self.slices} of {self.of} slices): {self.reason}"


@dataclass(frozen=True, slots=True)
class BackfillData:
    """What is known after every day was asked for at `at` (seconds since 1970), and the rules by which it is seen."""

    snapshot: Snapshot
    rules: PublicationRules
    settlement: Settlement
    dates: tuple[date, ...]
    gaps: tuple[Gap, ...]
    at: float

    def views(self, step: int) -> tuple[HistoricalView, ...]:
        """What was to be seen, every `step` seconds."""
        return replay.views(self.snapshot, self.rules, self.settlement, self.dates, step=step, now=self.at)


@dataclass(frozen=True, slots=True)
class _DayPoll:
    """What came of asking one query for one day."""

    play_date: date
    query: Query
    report: PollReport

    def gaps(self) -> Iterator[Gap]:
        """One for each reason."""
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
    """Ask for the last `count` play dates except what storage heard when its day could be final already.

    What is heard is stored day by day: who is interrupted goes on where they were.

    Raises StartError, and FlagError when none of the days can be written yet.
    """
    settlement = Settlement(config.settle.after, config.settle.unchanged)
    at = runtime.now()
    dates = replay.past_dates(at, count, settlement)
    if not dates:
        yesterday = play_dates.play_date(at, 1)
        first = datetime.fromtimestamp(replay.writable_from(yesterday, settlement), play_dates.PLAY_TIME_ZONE)
        raise FlagError(f"--days={count}: {yesterday} can be written from {first:%F %H:%M} UTC+8 on; ask for more days")
    queries = replay.past_queries(config.core_queries())
    async with app.assemble_daemon(_backfill_config(config, count), runtime, storage_path) as exporter:
        turns = {account.name: asyncio.Semaphore(account.limits.concurrency) for account in config.accounts}

        async def ask(play_date: date, query: Query) -> _DayPoll:
            async with turns[query.account]:
                now = runtime.now()
                # What was heard since the day could be final is good enough, however long ago, and whichever day of
                # the query was asked last.
                alone = replace(
                    query,
                    name=f"{query.name} {play_date}",
                    every=now - play_dates.start(play_date) - settlement.after,
                    days_ago=(play_dates.days_ago(now, play_date),),
                )
                report = await exporter.poller.poll(alone)
                await exporter.persist(report)
                return _DayPoll(play_date, query, report)

        progress.begin("fetching", len(dates) * sum(len(query.dimensions) for query in queries), "slices")
        async with asyncio.TaskGroup() as group:
            # Their turns come in this order: when calls_per_day is spent, it is the oldest days that are missing.
            asking = [group.create_task(ask(play_date, query)) for play_date in dates for query in queries]
            under_way = set(asking)
            while under_way:
                ended, under_way = await asyncio.wait(
                    under_way, timeout=NO_PROGRESS, return_when=asyncio.FIRST_COMPLETED
                )
                _report(progress, ended)
        gaps = tuple(gap for each in asking for gap in each.result().gaps())
        return BackfillData(
            exporter.poller.snapshot,
            PublicationRules(queries, config.stale_after, config.series_limit),
            settlement,
            dates,
            gaps,
            at,
        )


def _backfill_config(config: Config, count: int) -> Config:
    """The configuration with queries that look at all these days: what several need of a day is asked for together."""
    looks = {"days_ago": tuple(range(1, count + 1)), "every": _LONG}
    return config.model_copy(update={"queries": tuple(query.model_copy(update=looks) for query in config.queries)})


def _report(progress: Progress, ended: set[asyncio.Task[_DayPoll]]) -> None:
    if not ended:
        progress.advance(0)
    for asked in (each.result() for each in ended):
        said = f"fetched {asked.query.name} {asked.play_date}, {asked.report.result.value}"
        progress.advance(len(asked.report.outcomes), said)
