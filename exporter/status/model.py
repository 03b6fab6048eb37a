"""The input of the status page, taken at one instant, and the words for states and problems; all immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import Account, Query, Snapshot
    from exporter.core.player_query import PlayerView
    from exporter.core.poll_report import PollReport
    from exporter.core.publication import Publication
    from exporter.errors import UpstreamError


class MetricSample(Protocol):
    """One series of the exporter's own metrics: the page shows the same values as `/metrics`."""

    @property
    def name(self) -> str:
        """The name of the series, such as `aliyun_vod_api_requests_total`."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        ...

    @property
    def value(self) -> float:
        """Its value."""
        ...


class State(StrEnum):
    """The state of a slice, the worst first."""

    STALE = "stale"  # observed once, and no longer published
    UNANSWERED = "unanswered"  # never observed
    NOT_READY = "not_ready"  # the service has not computed that day
    UNSETTLED = "unsettled"  # may change
    SETTLED = "settled"  # final


class Problem(StrEnum):
    """The kinds of problems that the page reports."""

    NO_CREDENTIALS = "no_credentials"
    REFUSED = "refused"
    PAUSED = "paused"
    BUDGET_SPENT = "budget_spent"
    QUERY = "query"
    WAITING = "waiting"
    PLAYS_DROPPED = "plays_dropped"
    STALE = "stale"
    UNANSWERED = "unanswered"
    SERIES_DROPPED = "series_dropped"
    CONFIG_REJECTED = "config_rejected"
    METADATA = "metadata"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """The settings that apply to all queries; durations in seconds.

    `storage_retention` is None without storage. `shard` counts from 0.
    """

    settle_after: float
    settle_unchanged: int
    stale_after: float
    series_limit: int
    storage_retention: float | None
    shard: int
    total_shards: int


@dataclass(frozen=True, slots=True)
class StatusInput:
    """The exporter at `now`; times are seconds since 1970.

    * `pending_queries`: the queries whose first poll has not ended.
    * `reports`: the last poll of each query that was polled.
    * `next_polls`: the time of the next poll, by query.
    * `publication`: what `/metrics` shows, made from `snapshot`.
    * `unknown_media`: account and ID of the requested media that no response has ever contained.
    * `numbers`: the exporter's own metrics.
    * `metadata_failures`: searches and metadata refreshes whose last run failed, by account and name.
    * `player`: what is known of players.
    """

    version: str
    now: float
    started_at: float
    settings: StatusSettings
    accounts: tuple[Account, ...]
    queries: tuple[Query, ...]
    pending_queries: tuple[str, ...]
    reports: tuple[PollReport, ...]
    next_polls: Mapping[str, float]
    snapshot: Snapshot
    publication: Publication
    numbers: tuple[MetricSample, ...]
    unknown_media: frozenset[tuple[str, str]] = frozenset()
    metadata_failures: Mapping[tuple[str, str], UpstreamError] = field(default_factory=dict)
    player: tuple[PlayerView, ...] = ()
