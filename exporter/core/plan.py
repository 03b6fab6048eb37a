"""Works out what has to be fetched of a slice: what queries want of it, less what is known and fresh."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.expectation import DAYS_KEPT
from exporter.core.model import ByIds, Everything, Measure, Slice, Top

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from exporter.core.model import Freshness, Media, Query, SliceData

# "每页显示的数据条数……最大值为 100" (Alibaba Cloud's page).
PAGE_SIZE: Final = 100
# Clocks are corrected by less than this all the time; after a larger step the age of older data is unknown.
CLOCK_CORRECTION: Final = 60.0


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What has to be fetched of one slice, and how many calls are saved by what is known already.

    * `ids`: media needed by ID. `tops`: how many media by each measure. `everything`: all media.
    * `naive_calls`: the calls of a poller that makes one for each ID and each page.
    * `saved_shared`, `saved_settled`: calls saved because another query fetched the data, or because it is settled.
    """

    ids: frozenset[str] = frozenset()
    tops: Mapping[Measure, int] = field(default_factory=dict)
    everything: bool = False
    naive_calls: int = 0
    saved_shared: int = 0
    saved_settled: int = 0

    def __bool__(self) -> bool:
        """Whether anything has to be fetched."""
        return bool(self.ids or self.tops or self.everything)

    def __or__(self, other: FetchPlan) -> FetchPlan:
        """Everything that either plan needs; the numbers of calls are those of this one."""
        tops = {by: max(plan.tops.get(by, 0) for plan in (self, other)) for by in {**self.tops, **other.tops}}
        return replace(self, ids=self.ids | other.ids, tops=tops, everything=self.everything or other.everything)


def pages_of(rows: int) -> int:
    """How many pages this many rows take."""
    return ceil(rows / PAGE_SIZE)


def slices(query: Query, now: float) -> tuple[Slice, ...]:
    """The slices that a query covers at `now` (seconds since 1970), newest day first."""
    return tuple(
        Slice(query.account, dimensions, play_dates.play_date(now, ago))
        for ago in sorted(query.days_ago)
        for dimensions in query.dimensions
    )


def has_expected_plays(query: Query) -> bool:
    """Whether plays of the last settled day are compared with expected ones: the query must poll yesterday itself."""
    return query.expected and 1 in query.days_ago


def unpublished_days(query: Query) -> tuple[int, ...]:
    """Days that a query polls only because expected plays need them; the nearest first.

    Each was yesterday once: after the first poll, days settle before they are needed.
    """
    return tuple(ago for ago in DAYS_KEPT if ago not in query.days_ago) if has_expected_plays(query) else ()


def unpublished_slices(query: Query, now: float) -> tuple[Slice, ...]:
    """The slices of the days that a query polls but does not publish, at `now` (seconds since 1970)."""
    return slices(replace(query, days_ago=unpublished_days(query)), now)


def covers(query: Query, slice_: Slice, now: float) -> bool:
    """Whether a slice is among those that a query polls at `now` (seconds since 1970)."""
    ago = play_dates.days_ago(now, slice_.play_date)
    return (
        slice_.account == query.account
        and slice_.dimensions in query.dimensions
        and (ago in query.days_ago or ago in unpublished_days(query))
    )


def known_queries(queries: Iterable[Query], known: Mapping[Slice, SliceData], now: float) -> frozenset[str]:
    """Names of the queries of which any slice was completely polled before."""
    return frozenset(
        query.name
        for query in queries
        if any(data is not None and data.updated_at is not None for data in map(known.get, slices(query, now)))
    )


def requested_slices(queries: Iterable[Query], now: float) -> dict[Slice, tuple[Media, ...]]:
    """Every slice that any query covers at `now` (seconds since 1970), with the media that each of them wants."""
    wants: dict[Slice, tuple[Media, ...]] = {}
    for query in queries:
        for slice_ in slices(query, now):
            wants[slice_] = (*wants.get(slice_, ()), query.media)
    return wants


def plan_fetch(want: Media, known: SliceData | None, fresh_after: float, now: float) -> FetchPlan:
    """The part of `want` that is neither settled nor was observed after `fresh_after` (seconds since 1970).

    A timestamp more than CLOCK_CORRECTION after `now` means that the clock was set back: the age of that data is
    unknown, so it is fetched again.
    """

    def usable(freshness: Freshness | None) -> bool:
        return freshness is not None and (
            freshness.settled or fresh_after < freshness.observed_at <= now + CLOCK_CORRECTION
        )

    match want:
        case ByIds(ids):
            freshness = {media_id: _freshness(known, media_id) for media_id in ids}
            settled = sum(each is not None and each.settled for each in freshness.values())
            missing = frozenset(media_id for media_id, each in freshness.items() if not usable(each))
            shared = len(ids) - len(missing) - settled
            return FetchPlan(ids=missing, naive_calls=len(missing), saved_shared=shared, saved_settled=settled)
        case Top(n, by):
            ranking = known.ranking(want) if known else None
            return _unless_usable(
                FetchPlan(tops={by: n}, naive_calls=pages_of(n)), ranking.freshness if ranking else None, usable
            )
        case Everything():
            pages = max(1, pages_of((known.total if known else None) or 0))
            return _unless_usable(
                FetchPlan(everything=True, naive_calls=pages), known.listed if known else None, usable
            )


def _unless_usable(
    missing: FetchPlan, freshness: Freshness | None, usable: Callable[[Freshness | None], bool]
) -> FetchPlan:
    if not usable(freshness):
        return missing
    settled = freshness is not None and freshness.settled
    return FetchPlan(saved_settled=missing.naive_calls) if settled else FetchPlan(saved_shared=missing.naive_calls)


def _freshness(known: SliceData | None, media_id: str) -> Freshness | None:
    record = known.record(media_id) if known else None
    return record.freshness if record else None
