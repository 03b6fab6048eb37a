"""Data types of what `/metrics` shows at one instant, and the rules for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import PlayRow, Query, Slice
    from exporter.core.sharding import MediaInfoOwnership


@dataclass(frozen=True, slots=True)
class PublishedSlice:
    """One slice as it is published.

    * `rows`: by media ID; a row of None is a media known to have no plays: three zeros, no per-viewer series.
    * `total`, `updated_at`: None if not known; then they have no series.
    """

    slice: Slice
    days_ago: int
    rows: Mapping[str, PlayRow | None]
    total: int | None
    updated_at: float | None
    settled: bool
    ready: bool


@dataclass(frozen=True, slots=True)
class SettledPlays:
    """Plays of a media on a settled day, the plays expected (None: not known), and its title and length then."""

    plays: int | float
    expected: int | float | None
    title: str | None
    media_duration: int | float | None

    @property
    def series(self) -> int:
        """The number of its series."""
        return 1 if self.expected is None else 2


@dataclass(frozen=True, slots=True)
class SettledDay:
    """The last settled day of an account and filters for which plays can be expected, by media ID."""

    slice: Slice
    rows: Mapping[str, SettledPlays]

    @property
    def series(self) -> int:
        """The number of media series."""
        return sum(row.series for row in self.rows.values())


@dataclass(frozen=True, slots=True)
class PublishedMedia:
    """The newest title and length (seconds) of a media; those that are None have no series."""

    account: str
    media_id: str
    title: str | None
    duration: int | float | None


@dataclass(frozen=True, slots=True)
class Publication:
    """All play series of one instant. Times are seconds since 1970.

    * `settled_days`: of each account and filters, one at most.
    * `days`: 00:00 UTC+8 of each day, by days_ago.
    * `series`: the number of media series. `dropped`: those left out because of `series_limit`.
    * `valid_from`: the start of the day that `days_ago` counts from.
    * `valid_until`: when it has to be built again even if no poll changes the snapshot.
    """

    slices: tuple[PublishedSlice, ...]
    media: tuple[PublishedMedia, ...]
    days: Mapping[int, float]
    series: int
    dropped: int
    valid_from: float
    valid_until: float
    settled_days: tuple[SettledDay, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicationRules:
    """What may be published.

    * `queries`: the configured ones.
    * `stale_after`: how old (seconds) data that is not settled may be.
    * `series_limit`: how many media series at most.
    * `media_info_ownership`: by account, the media whose title and length this replica exports; None: all.
    * `days_ago`: the days whose date this replica exports; None: all.
    """

    queries: tuple[Query, ...]
    stale_after: float
    series_limit: int
    media_info_ownership: Mapping[str, MediaInfoOwnership] | None = None
    days_ago: frozenset[int] | None = None
