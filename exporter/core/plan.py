"""What is wanted + what is known → what to ask, per slice."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core import days
from exporter.core.model import ByIds, Everything, Measure, Slice, Top

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.model import Heard, Media, Query, SliceData

# "每页显示的数据条数……最大值为 100" (Alibaba Cloud's page).
PAGE_SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class AskMedia:
    """One call: the row of one media."""

    media_id: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """Page after page, most of `by` first, until `n` media are read; None: to the end."""

    by: Measure
    n: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask for one slice, and how many calls asking nobody again saves, against asking for every want."""

    asks: tuple[AskMedia | Sweep, ...] = ()
    saved_shared: int = 0
    saved_settled: int = 0


def slices(query: Query, now: float) -> tuple[Slice, ...]:
    """The slices a query looks at today, newest day first."""
    return tuple(
        Slice(query.account, dimensions, days.play_date(now, ago))
        for ago in sorted(query.days_ago)
        for dimensions in query.dimensions
    )


def wanted(queries: Iterable[Query], now: float) -> dict[Slice, tuple[Media, ...]]:
    """Every slice that any query looks at today, with all that is wanted of it."""
    wants: dict[Slice, tuple[Media, ...]] = {}
    for query in queries:
        for slice_ in slices(query, now):
            wants[slice_] = (*wants.get(slice_, ()), query.media)
    return wants


def plan(want: Media, known: SliceData | None, fresh_after: float) -> Plan:
    """The calls that answer a want, leaving out what is settled and what somebody asked after `fresh_after`."""
    match want:
        case ByIds(ids):
            return _merge(
                _need(AskMedia(media_id), _heard(known, media_id), fresh_after, saves=1) for media_id in sorted(ids)
            )
        case Top(n, by):
            ranking = known.ranking(want) if known else None
            return _need(Sweep(by, n), ranking.heard if ranking else None, fresh_after, saves=ceil(n / PAGE_SIZE))
        case Everything():
            total = known.total if known else None
            swept = known.swept if known else None
            return _need(Sweep(Measure.PLAYS, None), swept, fresh_after, saves=max(1, ceil((total or 0) / PAGE_SIZE)))


def _need(ask: AskMedia | Sweep, heard: Heard | None, fresh_after: float, *, saves: int) -> Plan:
    """The plan for one ask: nothing when what was heard is final or fresh."""
    if heard is not None and heard.settled:
        return Plan(saved_settled=saves)
    if heard is not None and heard.at > fresh_after:
        return Plan(saved_shared=saves)
    return Plan((ask,))


def _merge(plans: Iterable[Plan]) -> Plan:
    parts = tuple(plans)
    return Plan(
        tuple(ask for part in parts for ask in part.asks),
        sum(part.saved_shared for part in parts),
        sum(part.saved_settled for part in parts),
    )


def _heard(known: SliceData | None, media_id: str) -> Heard | None:
    answer = known.answer(media_id) if known else None
    return answer.heard if answer else None
