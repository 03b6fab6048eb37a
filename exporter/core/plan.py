"""What is wanted + what is known → what is needed, per slice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.model import ByIds, Everything, Measure, Slice, Top

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from exporter.core.model import Heard, Media, Query, SliceData

# "每页显示的数据条数……最大值为 100" (Alibaba Cloud's page).
PAGE_SIZE: Final = 100
# Clocks are corrected by less than this all the time; by more, what was told before is of an unknown age.
CORRECTION: Final = 60.0


@dataclass(frozen=True, slots=True)
class Need:
    """What has to be asked of one slice, and what asking nobody again saves, in calls.

    * `ids`: media to be known one by one. `tops`: how many media by each measure. `everything`: all of them.
    * `naive`: calls of a poller that asks once for each ID and each page.
    """

    ids: frozenset[str] = frozenset()
    tops: Mapping[Measure, int] = field(default_factory=dict)
    everything: bool = False
    naive: int = 0
    saved_shared: int = 0
    saved_settled: int = 0

    def __bool__(self) -> bool:
        """Whether anything has to be asked."""
        return bool(self.ids or self.tops or self.everything)

    def __or__(self, other: Need) -> Need:
        """What is needed for both; the calls counted stay this one's."""
        tops = {by: max(need.tops.get(by, 0) for need in (self, other)) for by in {**self.tops, **other.tops}}
        return replace(self, ids=self.ids | other.ids, tops=tops, everything=self.everything or other.everything)


def slices(query: Query, now: float) -> tuple[Slice, ...]:
    """The slices a query looks at today, newest day first."""
    return tuple(
        Slice(query.account, dimensions, play_dates.play_date(now, ago))
        for ago in sorted(query.days_ago)
        for dimensions in query.dimensions
    )


def looks_at(query: Query, slice_: Slice, now: float) -> bool:
    """Whether a slice is among those that a query looks at today."""
    return (
        slice_.account == query.account
        and slice_.dimensions in query.dimensions
        and play_dates.days_ago(now, slice_.play_date) in query.days_ago
    )


def wanted(queries: Iterable[Query], now: float) -> dict[Slice, tuple[Media, ...]]:
    """Every slice that any query looks at today, with all that is wanted of it."""
    wants: dict[Slice, tuple[Media, ...]] = {}
    for query in queries:
        for slice_ in slices(query, now):
            wants[slice_] = (*wants.get(slice_, ()), query.media)
    return wants


def need(want: Media, known: SliceData | None, fresh_after: float, now: float) -> Need:
    """What of a want is neither settled nor was told by anybody after `fresh_after` (seconds since 1970).

    What was told later than `now`, by more than a clock is corrected by, was told before it was set back: nobody knows
    how old that is.
    """

    def usable(heard: Heard | None) -> bool:
        return heard is not None and (heard.settled or fresh_after < heard.at <= now + CORRECTION)

    match want:
        case ByIds(ids):
            heard = {media_id: _heard(known, media_id) for media_id in ids}
            settled = sum(each is not None and each.settled for each in heard.values())
            missing = frozenset(media_id for media_id, each in heard.items() if not usable(each))
            shared = len(ids) - len(missing) - settled
            return Need(ids=missing, naive=len(missing), saved_shared=shared, saved_settled=settled)
        case Top(n, by):
            ranking = known.ranking(want) if known else None
            pages = ceil(n / PAGE_SIZE)
            return _or_saved(Need(tops={by: n}, naive=pages), ranking.heard if ranking else None, usable)
        case Everything():
            pages = max(1, ceil(((known.total if known else None) or 0) / PAGE_SIZE))
            return _or_saved(Need(everything=True, naive=pages), known.swept if known else None, usable)


def _or_saved(missing: Need, heard: Heard | None, usable: Callable[[Heard | None], bool]) -> Need:
    if not usable(heard):
        return missing
    settled = heard is not None and heard.settled
    return Need(saved_settled=missing.naive) if settled else Need(saved_shared=missing.naive)


def _heard(known: SliceData | None, media_id: str) -> Heard | None:
    answer = known.answer(media_id) if known else None
    return answer.heard if answer else None
