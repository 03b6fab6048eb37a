"""What Prometheus would have scraped on past days, had the exporter run then; independent of the output format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.model import MediaRecord, Snapshot
from exporter.core.play_dates import Settlement
from exporter.core.publication_builder import publish

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from exporter.core.model import Freshness, Query, SliceData
    from exporter.core.publication import Publication, PublicationRules

# A day becomes visible at 09:00 UTC+8 of the next day, when its numbers can be final.
VISIBLE_AFTER: Final = Settlement().after
_DAY: Final = 86_400
# "It is not safe to backfill data from the last 3 hours (the current head block)" (Prometheus' page on storage): at a
# restart Prometheus drops its own samples that are older than the end of the newest block.
_HEAD_BLOCK: Final = 3 * 3600


@dataclass(frozen=True, slots=True)
class HistoricalView:
    """A publication, and the instants at which it was visible (seconds since 1970, ascending)."""

    publication: Publication
    instants: range


def _newest_writable(now: float) -> int:
    """The last instant (seconds since 1970) that may be written at `now`."""
    return int(now) - _HEAD_BLOCK


def _visible_from(play_date: date) -> float:
    """When a day becomes visible as `days_ago="1"`, in seconds since 1970."""
    return play_dates.start(play_date) + VISIBLE_AFTER


def writable_from(play_date: date, settlement: Settlement) -> float:
    """When a day is final and its first visible instant may be written, in seconds since 1970."""
    return max(_visible_from(play_date) + _HEAD_BLOCK, play_dates.start(play_date) + settlement.after)


def past_dates(now: float, count: int, settlement: Settlement) -> tuple[date, ...]:
    """Those of the last `count` play dates that can be written at `now`, newest first."""
    dates = (play_dates.play_date(now, ago) for ago in range(1, count + 1))
    return tuple(each for each in dates if writable_from(each, settlement) <= now)


def past_queries(queries: Iterable[Query]) -> tuple[Query, ...]:
    """The queries with the days that can be backfilled: always yesterday, never today.

    The numbers that the service reported during a day are not available later, and its final ones did not exist then.
    Expected plays are not backfilled: only alerts use them, about the present.
    """
    return tuple(
        replace(query, days_ago=tuple(sorted({1, *query.days_ago} - {0})), expected=False) for query in queries
    )


def views(
    snapshot: Snapshot, rules: PublicationRules, settlement: Settlement, dates: Iterable[date], *, step: int, now: float
) -> tuple[HistoricalView, ...]:
    """What was visible since the oldest of `dates`, one view a day, every `step` seconds; oldest first.

    Days change at 09:00 UTC+8, when the day before can be final, and not at 00:00: so every number shown is final,
    and `days_ago` 1 and 8 are always seven days apart. Data that is missing, or was observed before its day could be
    final, is absent.
    """
    known = Snapshot().updated(final for data in snapshot.slices.values() if (final := _final(data, settlement)))
    found = []
    for play_date in sorted(dates):
        start = int(_visible_from(play_date))
        publication = publish(known, rules, start)
        if publication.slices:
            instants = range(start, min(start + _DAY, _newest_writable(now) + 1), step)
            found.append(HistoricalView(publication, instants))
    return tuple(found)


def _final(data: SliceData, settlement: Settlement) -> SliceData | None:
    """The part of a slice that was observed once its day could be final, marked as settled; None if there is none.

    Its timestamp is set to when the day first became visible, as a scraper would have seen it.
    """
    play_date = data.slice.play_date

    def finalized(freshness: Freshness | None) -> Freshness | None:
        return (
            replace(freshness, settled=True)
            if freshness and settlement.possible(play_date, freshness.observed_at)
            else None
        )

    records = {
        media_id: MediaRecord(record.row, freshness)
        for media_id, record in data.records.items()
        if (freshness := finalized(record.freshness))
    }
    rankings = {
        order: replace(ranking, freshness=freshness)
        for order, ranking in data.rankings.items()
        if (freshness := finalized(ranking.freshness))
    }
    listed = finalized(data.listed)
    if not (records or rankings or listed):
        return None
    is_final = data.updated_at is not None and settlement.possible(play_date, data.updated_at)
    return replace(
        data,
        records=records,
        listed=listed,
        rankings=rankings,
        total=data.total if settlement.possible(play_date, data.total_at) else None,
        updated_at=_visible_from(play_date) if is_final else None,
    )
