"""Data types of what `/metrics` shows at one instant, and the rules for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.media_details import Category, MetadataRules
    from exporter.core.model import PlayRow, Query, Slice
    from exporter.core.sharding import MediaInfoOwnership


@dataclass(frozen=True, slots=True)
class PublishedSlice:
    """One slice as it is published.

    * `rows`: by media ID; a row of None is a video known to have no plays: three zeros, no per-viewer series.
    * `total`, `updated_at`: None if not known; then they have no series.
    """

    slice: Slice
    days_ago: int
    rows: Mapping[str, PlayRow | None]
    total: int | None
    updated_at: float | None
    settled: bool
    ready: bool


def row_series(row: PlayRow | None) -> int:
    """The number of series of a row: a zero has no per-viewer series, a field that is not given has none."""
    if row is None:
        return 3
    fields = (row.plays, row.viewers, row.plays_per_viewer, row.play_duration, row.play_duration_per_viewer)
    return len(fields) - fields.count(None)


@dataclass(frozen=True, slots=True)
class SettledPlays:
    """Plays of a video on a settled day, the plays expected (None: not known), and its title and length then."""

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


@dataclass(frozen=True, slots=True)
class PublishedMedia:
    """The newest title and length (seconds) of a video; those that are None have no series."""

    account: str
    media_id: str
    title: str | None
    duration: int | float | None


@dataclass(frozen=True, slots=True)
class PublishedMetadata:
    """The metadata of one video, as it is published.

    * `labels`: names and values; empty if nothing but a deletion is known. `tags`: those that have series.
    * `created_at`: seconds since 1970.
    """

    account: str
    media_id: str
    labels: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    created_at: float | None = None
    deleted: bool = False

    @property
    def series(self) -> int:
        """The number of its series."""
        return bool(self.labels) + len(self.tags) + (self.created_at is not None) + self.deleted


@dataclass(frozen=True, slots=True)
class PublishedCategory:
    """A category of an account, with its path."""

    account: str
    category: Category
    path: str


@dataclass(frozen=True, slots=True)
class Publication:
    """All play series of one instant. Times are seconds since 1970.

    * `settled_days`: of each account and filters, one at most.
    * `days`: 00:00 UTC+8 of each day, by days_ago.
    * `series`: the number of media series. `dropped`: those left out because of `series_limit`.
    * `valid_from`: the start of the day that `days_ago` counts from.
    * `valid_until`: when it has to be built again even if no poll changes the snapshot.
    * `metadata`: of media; empty where it is not configured. `categories`: those of accounts with metadata.
    """

    slices: tuple[PublishedSlice, ...]
    media: tuple[PublishedMedia, ...]
    days: Mapping[int, float]
    series: int
    dropped: int
    valid_from: float
    valid_until: float
    settled_days: tuple[SettledDay, ...] = ()
    metadata: tuple[PublishedMetadata, ...] = ()
    categories: tuple[PublishedCategory, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicationRules:
    """What may be published.

    * `queries`: the configured ones.
    * `stale_after`: how old (seconds) data that is not settled may be.
    * `series_limit`: how many media series at most.
    * `media_info_ownership`: by account, the media whose title and length this replica exports; None: all.
    * `days_ago`: the days whose date this replica exports; None: all.
    * `metadata`: by account, what is published of metadata; an account without has none.
    * `category_accounts`: the accounts whose categories this replica exports; None: all.
    """

    queries: tuple[Query, ...]
    stale_after: float
    series_limit: int
    media_info_ownership: Mapping[str, MediaInfoOwnership] | None = None
    days_ago: frozenset[int] | None = None
    metadata: Mapping[str, MetadataRules] = field(default_factory=dict)
    category_accounts: frozenset[str] | None = None

    def owns(self, account: str, media_id: str) -> bool:
        """Whether this replica exports title, length and metadata of a video."""
        if self.media_info_ownership is None:
            return True
        ownership = self.media_info_ownership.get(account)
        return ownership is not None and media_id in ownership

    def owns_categories(self, account: str) -> bool:
        """Whether this replica exports the categories of an account."""
        return self.category_accounts is None or account in self.category_accounts
