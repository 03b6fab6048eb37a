"""Queries of player metrics: targets, buckets and metrics, and the calls and series that they take."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core.player_fields import PlayerField, calls
from exporter.core.player_intervals import CONFIRMING_READS, INTERVALS, Interval

if TYPE_CHECKING:
    from exporter.core.player_buckets import PublishedBuckets

_DAY: Final = 86_400
# The start of the bucket, the lag, revisions, and whether the last poll succeeded.
_SERIES_OF_A_TARGET: Final = 4

TERMINAL_TYPES: Final = ("web", "mobile")
OPERATING_SYSTEMS: Final = ("Android", "iOS", "Harmony", "Windows", "MacOS", "Linux")
MOBILE_OPERATING_SYSTEMS: Final = OPERATING_SYSTEMS[:3]


@dataclass(frozen=True, slots=True, order=True)
class PlayerTarget:
    """One set of series: an application of an account, a terminal type, and one operating system or (empty) all."""

    account: str
    app_id: str
    terminal_type: str
    os: str = ""


@dataclass(frozen=True, slots=True)
class PlayerQuery:
    """Targets that are polled together; `compare`: ages in seconds of the earlier buckets to compare with."""

    name: str
    account: str
    targets: tuple[PlayerTarget, ...]
    every: float
    interval: str
    metrics: tuple[str, ...]
    compare: tuple[int, ...]

    @property
    def buckets(self) -> Interval:
        """The length of its buckets."""
        return INTERVALS[self.interval]

    @property
    def calls(self) -> tuple[tuple[PlayerField, ...], ...]:
        """The metrics of each call of a poll of one target."""
        return calls(self.metrics)


@dataclass(frozen=True, slots=True)
class PlayerView:
    """What is known of a target at one instant.

    * `up`: whether its last poll got all responses; False before the first.
    * `lag`: seconds since the end of the newest bucket that has data; None: there was none.
    * `error`, `advice`: why its last poll failed and what to do, else empty.
    """

    query: PlayerQuery
    target: PlayerTarget
    up: bool = False
    published: PublishedBuckets | None = None
    lag: float | None = None
    revisions: int = 0
    error: str = ""
    advice: str = ""


def ago_label(ago: int) -> str:
    """The label of an age in seconds: `7d`; empty for the newest bucket."""
    return f"{ago // _DAY}d" if ago else ""


def first_poll_calls(query: PlayerQuery) -> int:
    """The most calls of the first poll: each reads the newest buckets and earlier ones of each age."""
    return len(query.targets) * len(query.calls) * (1 + _ages_apart(query))


def calls_per_day(query: PlayerQuery) -> int:
    """The calls of a day: each poll reads the newest buckets; earlier ones are read twice, a chunk at a time."""
    polls = _DAY / query.every
    earlier = min(polls, CONFIRMING_READS * _DAY / query.buckets.chunk) * _ages_apart(query)
    return ceil(len(query.targets) * len(query.calls) * (polls + earlier))


def series(query: PlayerQuery) -> int:
    """The most series: the metrics for each age, and those about each target."""
    metrics = sum(map(len, query.calls))
    return len(query.targets) * (metrics * (1 + len(query.compare)) + _SERIES_OF_A_TARGET)


def _ages_apart(query: PlayerQuery) -> int:
    """How many of the ages to compare with are not part of what each poll reads."""
    return sum(ago + query.buckets.margin >= query.buckets.window for ago in query.compare)
