"""Example inputs of the status page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from exporter.core.model import (
    Account,
    ByIds,
    Dimensions,
    Everything,
    Freshness,
    MediaRecord,
    PlayRow,
    Query,
    Slice,
    SliceData,
    Snapshot,
)
from exporter.core.poll_report import PollReport, PollResult, SliceOutcome
from exporter.core.publication import PublicationRules
from exporter.core.publication_builder import publish
from exporter.status.model import StatusInput, StatusSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.errors import UpstreamError

# A Sunday, 12:00 UTC+8.
NOW = datetime.fromisoformat("2024-03-24T12:00:00+08:00").timestamp()
ALL = Dimensions()
SETTINGS = StatusSettings(33 * 3600.0, 2, 2 * 86_400.0, 200_000, None, 0, 1)
ACCOUNT = Account("main", "https://vod.cn-shanghai.aliyuncs.com", "key", 10.0, 5.0, 4, 0)
EVERYTHING = Query("q", "main", 900.0, Everything(), (ALL,), (0, 1, 2, 8, 9))
EXPECTING = replace(EVERYTHING, expected=True)


@dataclass(frozen=True)
class Number:
    """One series of the exporter's own metrics."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def day(days_ago: int) -> date:
    return date.fromordinal(date(2024, 3, 24).toordinal() - days_ago)


def by_ids(*ids: str, name: str = "ids") -> Query:
    return Query(name, "main", 900.0, ByIds(frozenset(ids)), (ALL,), (1, 2, 8, 9))


def known(
    days_ago: int,
    plays: Mapping[str, float | None],
    *,
    settled: bool = True,
    at: float = NOW,
    total: int | None = -1,
    dimensions: Dimensions = ALL,
    ready: bool = True,
    account: str = "main",
) -> SliceData:
    """A slice whose listing was read to the end; titles are `title of ID`."""
    freshness = Freshness(at, settled=settled)
    return SliceData(
        Slice(account, dimensions, day(days_ago)),
        records={
            media_id: MediaRecord(PlayRow(media_id, title=f"title of {media_id}", plays=count), freshness)
            for media_id, count in plays.items()
        },
        listed=freshness,
        total=len(plays) if total == -1 else total,
        total_at=at,
        updated_at=at,
        last_response_at=at,
        ready=ready,
    )


def weekly(plays: Mapping[str, tuple[float | None, ...]], *, newest: int = 1, **kwargs: object) -> list[SliceData]:
    """Settled days of each video: the `newest`, the day before, the same two a week before; None: not a row."""
    days = (newest, newest + 1, newest + 7, newest + 8)
    return [
        known(ago, {m: numbers[i] for m, numbers in plays.items() if numbers[i] is not None}, **kwargs)  # type: ignore[arg-type]
        for i, ago in enumerate(days)
    ]


def observed(
    *slices: SliceData,
    queries: Iterable[Query] = (EVERYTHING,),
    accounts: Iterable[Account] = (ACCOUNT,),
    reports: Iterable[PollReport] = (),
    numbers: Iterable[Number] = (),
    pending_queries: tuple[str, ...] = (),
    settings: StatusSettings = SETTINGS,
    now: float = NOW,
) -> StatusInput:
    queries, snapshot = tuple(queries), Snapshot().updated(slices)
    return StatusInput(
        version="1.2.3",
        now=now,
        started_at=now - 3600,
        settings=settings,
        accounts=tuple(accounts),
        queries=queries,
        pending_queries=pending_queries,
        reports=tuple(reports),
        next_polls={query.name: now + 600 for query in queries},
        snapshot=snapshot,
        publication=publish(snapshot, PublicationRules(queries, settings.stale_after, settings.series_limit), now),
        numbers=tuple(numbers),
    )


def report(query: Query, *errors: UpstreamError, days_ago: int = 1, at: float = NOW) -> PollReport:
    """A poll that ended at a time with these errors in one slice."""
    outcome = SliceOutcome(Slice(query.account, query.dimensions[0], day(days_ago)), answered=not errors, errors=errors)
    return PollReport(query, at - 2, at, (outcome,), PollResult.FAILURE if errors else PollResult.SUCCESS)
