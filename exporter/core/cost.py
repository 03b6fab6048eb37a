"""What a query costs, before it is spent: slices, calls of a first poll and of a steady day, series."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core.call_planner import FEW_MEDIA, MANY_MEDIA
from exporter.core.fields import MEDIA_NUMBERS, PLAY_NUMBERS
from exporter.core.model import ByIds, Everything, Top
from exporter.core.plan import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import Dimensions, Media, Query
    from exporter.core.play_dates import Settlement

_DAY: Final = 86_400.0
# A query that is asked less than daily meets a play date at any time of its days: so many of them are averaged.
_PHASES: Final = 24
_SERIES_PER_ROW: Final = len(PLAY_NUMBERS)
_SERIES_PER_MEDIA: Final = 1 + len(MEDIA_NUMBERS)  # the title is the other one


@dataclass(frozen=True, slots=True)
class Estimate:
    """From `low` to `high`; None: nobody knows before the service is asked how many media have plays."""

    low: int
    high: int | None

    def __add__(self, other: Estimate) -> Estimate:
        """What both cost together."""
        return Estimate(
            self.low + other.low, None if self.high is None or other.high is None else self.high + other.high
        )

    def __str__(self) -> str:
        """`12`, `1 to 12` or `at least 12`."""
        if self.high is None:
            return f"at least {self.low}"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one query costs by itself; slices that it shares with other queries are cheaper."""

    slices: int
    first_poll: Estimate
    steady_day: Estimate
    series: Estimate


def cost(query: Query, settlement: Settlement, totals: Mapping[Dimensions, int] | None = None) -> Cost:
    """The cost of a query whose numbers stop changing when its days can be final.

    `totals` says how many media have plays on a day, by filter, where that is known.
    """
    polls = _polls_of_a_date(query, settlement)
    nothing = Estimate(0, 0)
    first = steady = series = nothing
    for dimensions in query.dimensions:
        calls, media = _per_slice(query.media, (totals or {}).get(dimensions))
        first += _times(calls, len(query.days_ago))
        steady += _times(calls, polls)
        series += _times(media, len(query.days_ago) * _SERIES_PER_ROW)
    most = [_per_slice(query.media, (totals or {}).get(dimensions))[1] for dimensions in query.dimensions]
    highs = [estimate.high for estimate in most]
    known = [high for high in highs if high is not None]
    distinct = Estimate(max(estimate.low for estimate in most), max(known) if len(known) == len(highs) else None)
    return Cost(
        len(query.dimensions) * len(query.days_ago), first, steady, series + _times(distinct, _SERIES_PER_MEDIA)
    )


def _times(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(ceil(estimate.low * factor), None if estimate.high is None else ceil(estimate.high * factor))


def _per_slice(media: Media, total: int | None) -> tuple[Estimate, Estimate]:
    """Calls for one slice of `total` media with plays (None: not known), and media with series in it."""
    pages = None if total is None else max(1, ceil(total / PAGE_SIZE))
    match media:
        case ByIds(ids):
            return _by_ids(len(ids), pages), Estimate(len(ids), len(ids))
        case Top(n):
            if total is None or pages is None:
                return Estimate(1, ceil(n / PAGE_SIZE)), Estimate(0, n)
            calls, shown = min(pages, ceil(n / PAGE_SIZE)), min(n, total)
            return Estimate(calls, calls), Estimate(shown, shown)
        case Everything():
            return Estimate(pages or 1, pages), Estimate(total or 0, total)


def _by_ids(wanted: int, pages: int | None) -> Estimate:
    """By ID, by page or first the one and then the other; see Search."""
    if wanted <= (FEW_MEDIA if pages is None else min(MANY_MEDIA, pages)):
        return Estimate(wanted, wanted)
    return Estimate(1, wanted + 1 if pages is None else min(wanted + 1, pages))


def _polls_of_a_date(query: Query, settlement: Settlement) -> float:
    """How often one play date is asked for, by one filter, in all its life; on a steady day every age is met once."""
    phases = 1 if query.every < _DAY else _PHASES
    return sum(_polls(query, settlement, query.every * phase / phases) for phase in range(phases)) / phases


def _polls(query: Query, settlement: Settlement, first: float) -> int:
    """Walk through the life of a date, asking `first` seconds after its start and every interval, until it settles."""
    looked_at = frozenset(query.days_ago)
    polls = confirmations = 0
    at = first
    while at < (max(looked_at) + 1) * _DAY:
        if at // _DAY in looked_at:
            confirmations = confirmations + 1 if polls and at >= settlement.after else 0
            polls += 1
            if at >= settlement.after and confirmations >= settlement.unchanged:
                break
        at += query.every
    return polls
