"""What Prometheus is to see at one instant, and the rules of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import PlayRow, Query, Slice
    from exporter.core.sharding import MediaInfoOwnership


@dataclass(frozen=True, slots=True)
class PublishedSlice:
    """One slice as it is exposed now.

    * `rows`: by media ID; a row of None is a media known to have no plays: three zeros and no per-viewer series.
    * `total`, `updated_at`: None where not known: no series.
    """

    slice: Slice
    days_ago: int
    rows: Mapping[str, PlayRow | None]
    total: int | None
    updated_at: float | None
    settled: bool
    ready: bool


@dataclass(frozen=True, slots=True)
class PublishedMedia:
    """What is said of a media whatever the day: its newest title and length (seconds); None: no such series."""

    account: str
    media_id: str
    title: str | None
    duration: int | float | None


@dataclass(frozen=True, slots=True)
class Publication:
    """All play series of one instant, and until when (seconds since 1970) they are right if nothing new is learnt.

    `days` maps days_ago to 00:00 UTC+8 of that day. `series` counts the media series in it; `dropped` those beyond
    `series_limit`. It is right from `valid_from` on: the start of the day that `days_ago` counts from.
    """

    slices: tuple[PublishedSlice, ...]
    media: tuple[PublishedMedia, ...]
    days: Mapping[int, float]
    series: int
    dropped: int
    valid_from: float
    valid_until: float


@dataclass(frozen=True, slots=True)
class PublicationRules:
    """What may be published: the configured queries, how old (seconds) what is not settled may be, how many series.

    One of several replicas exports title and length only of the media of its `media_info_ownership`, by account, and
    the date only of its `days_ago`; None: all.
    """

    queries: tuple[Query, ...]
    stale_after: float
    series_limit: int
    media_info_ownership: Mapping[str, MediaInfoOwnership] | None = None
    days_ago: frozenset[int] | None = None
