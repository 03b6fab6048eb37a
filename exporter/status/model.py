"""What the page is told: everything it shows was taken down at one instant, and nothing of it changes any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import Query, Snapshot
    from exporter.core.poller import PollReport
    from exporter.core.publication import Publication


class MetricSample(Protocol):
    """One series of the metrics about the exporter: the page says what Prometheus is told."""

    @property
    def name(self) -> str:
        """Of the series, such as `aliyun_vod_api_requests_total`."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        ...

    @property
    def value(self) -> float:
        """Its value."""
        ...


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """What is configured of an account, without anything secret.

    `credentials` is `key` where a key was given in the configuration or in files, else the provider.
    `requests_per_second`, `concurrency` and `calls_per_day` (0: unlimited) are those of all replicas together.
    """

    name: str
    endpoint: str
    credentials: str
    timeout: float
    requests_per_second: float
    concurrency: int
    calls_per_day: int


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """What is configured for all queries; durations in seconds.

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

    * `pending_queries`: queries that were not yet polled to their end.
    * `reports`: how the last poll of each query ended, where one has.
    * `next_polls`: by query.
    * `publication`: what Prometheus sees, made of `snapshot`.
    * `unknown_media`: account and ID of the media that were asked for and never named by an answer.
    * `numbers`: the metrics about the exporter.
    """

    version: str
    now: float
    started_at: float
    settings: StatusSettings
    accounts: tuple[AccountInfo, ...]
    queries: tuple[Query, ...]
    pending_queries: tuple[str, ...]
    reports: tuple[PollReport, ...]
    next_polls: Mapping[str, float]
    snapshot: Snapshot
    publication: Publication
    numbers: tuple[MetricSample, ...]
    unknown_media: frozenset[tuple[str, str]] = frozenset()
