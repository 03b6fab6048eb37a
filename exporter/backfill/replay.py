"""What Prometheus would have seen of days gone by, had the exporter run then; knows no format."""

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

# A day is seen from 09:00 UTC+8 of the next day on, when its numbers can be final, for 24 h.
VISIBLE_AFTER: Final = Settlement().after
_DAY: Final = 86_400
# "It is not safe to backfill data from the last 3 hours (the current head block)" (Prometheus' page on storage): a
# restart would drop what Prometheus scraped itself before the newest block ends.
_HEAD_BLOCK: Final = 3 * 3600


@dataclass(frozen=True, slots=True)
class HistoricalView:
    """What there was to see, the same at all of these instants (seconds since 1970, rising)."""

    publication: Publication
    instants: range


def end(now: float) -> int:
    """The last instant (seconds since 1970) that may be written at `now`."""
    return int(now) - _HEAD_BLOCK


def visible_from(play_date: date) -> float:
    """When a day gets its place as `days_ago="1"`, in seconds since 1970."""
    return play_dates.start(play_date) + VISIBLE_AFTER


def writable_from(play_date: date, settlement: Settlement) -> float:
    """When a day is final and seen for long enough to be written, in seconds since 1970."""
    return max(visible_from(play_date) + _HEAD_BLOCK, play_dates.start(play_date) + settlement.after)


def past_dates(now: float, count: int, settlement: Settlement) -> tuple[date, ...]:
    """Those of the last `count` play dates that can be written at `now`, newest first."""
    dates = (play_dates.play_date(now, ago) for ago in range(1, count + 1))
    return tuple(each for each in dates if writable_from(each, settlement) <= now)


def past_queries(queries: Iterable[Query]) -> tuple[Query, ...]:
    """The queries as they can look back: yesterday is always looked at, today never.

    What the service said of a day while it lasted is gone; its final numbers were not known then.
    """
    return tuple(replace(query, days_ago=tuple(sorted({1, *query.days_ago} - {0}))) for query in queries)


def views(
    snapshot: Snapshot, rules: PublicationRules, settlement: Settlement, dates: Iterable[date], *, step: int, now: float
) -> tuple[HistoricalView, ...]:
    """What was to be seen since the oldest of `dates`, day by day, every `step` seconds; oldest first.

    Days turn at 09:00 UTC+8, when the day before can be final, and not at 00:00: so every number that is shown is
    final, and those of `days_ago` 1 and 8 are seven days apart at every instant. What was not heard, or heard
    before its day could be final, is absent.
    """
    known = Snapshot().updated(final for data in snapshot.slices.values() if (final := _final(data, settlement)))
    seen = []
    for play_date in sorted(dates):
        start = int(visible_from(play_date))
        publication = publish(known, rules, start)
        if publication.slices:
            seen.append(HistoricalView(publication, range(start, min(start + _DAY, end(now) + 1), step)))
    return tuple(seen)


def _final(data: SliceData, settlement: Settlement) -> SliceData | None:
    """What was heard of a slice once its day could be final: it stands. None: nothing was.

    It is as old as if it had been heard when the day was first seen, as it was for who looked then.
    """
    play_date = data.slice.play_date

    def stands(freshness: Freshness | None) -> Freshness | None:
        return (
            replace(freshness, settled=True)
            if freshness and settlement.possible(play_date, freshness.observed_at)
            else None
        )

    answers = {
        m: MediaRecord(was.row, freshness) for m, was in data.answers.items() if (freshness := stands(was.freshness))
    }
    rankings = {
        by: replace(was, freshness=freshness)
        for by, was in data.rankings.items()
        if (freshness := stands(was.freshness))
    }
    listed = stands(data.listed)
    if not (answers or rankings or listed):
        return None
    whole = data.updated_at is not None and settlement.possible(play_date, data.updated_at)
    return replace(
        data,
        answers=answers,
        listed=listed,
        rankings=rankings,
        total=data.total if settlement.possible(play_date, data.total_at) else None,
        updated_at=visible_from(play_date) if whole else None,
    )
