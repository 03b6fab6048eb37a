"""What a query costs, before it is spent: slices, calls of a first poll and of a steady day, series."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core.model import ByIds, Everything, Top
from exporter.core.plan import PAGE_SIZE

if TYPE_CHECKING:
    from exporter.core.days import Settlement
    from exporter.core.model import Media, Query

_DAY: Final = 86_400.0
# A query that is asked less than daily meets a play date at any time of its days: so many of them are averaged.
_PHASES: Final = 24
_SERIES_PER_ROW: Final = 5
_SERIES_PER_MEDIA: Final = 2  # its title and its length


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


def cost(query: Query, settlement: Settlement) -> Cost:
    """The cost of a query whose numbers stop changing when its days can be final."""
    slices = len(query.dimensions) * len(query.days_ago)
    calls, media = _per_slice(query.media)
    polls = _polls_of_a_date(query, settlement) * len(query.dimensions)
    return Cost(
        slices,
        first_poll=_times(calls, slices),
        steady_day=_times(calls, polls),
        series=_times(media, slices * _SERIES_PER_ROW + _SERIES_PER_MEDIA),
    )


def _times(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(ceil(estimate.low * factor), None if estimate.high is None else ceil(estimate.high * factor))


def _per_slice(media: Media) -> tuple[Estimate, Estimate]:
    """Calls for one slice, and media with series in it."""
    match media:
        case ByIds(ids):
            return Estimate(len(ids), len(ids)), Estimate(len(ids), len(ids))
        case Top(n):
            return Estimate(1, ceil(n / PAGE_SIZE)), Estimate(0, n)
        case Everything():
            return Estimate(1, None), Estimate(0, None)


def _polls_of_a_date(query: Query, settlement: Settlement) -> float:
    """How often one play date is asked for, by one filter, in all its life; on a steady day every age is met once."""
    phases = 1 if query.every < _DAY else _PHASES
    return sum(_polls(query, settlement, query.every * phase / phases) for phase in range(phases)) / phases


def _polls(query: Query, settlement: Settlement, first: float) -> int:
    """Walk through the life of a date, asking `first` seconds after its start and every interval, until it settles."""
    looked_at = frozenset(query.days_ago)
    polls = confirmed = 0
    at = first
    while at < (max(looked_at) + 1) * _DAY:
        if at // _DAY in looked_at:
            confirmed = confirmed + 1 if polls and at >= settlement.after else 0
            polls += 1
            if at >= settlement.after and confirmed >= settlement.unchanged:
                break
        at += query.every
    return polls
