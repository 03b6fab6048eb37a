"""Builds the publication of a snapshot: covered days, wanted media with zeros, nothing stale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.media_info import MediaInfoIndex
from exporter.core.metadata import MetadataPublisher
from exporter.core.model import ByIds, Everything, Freshness, Top
from exporter.core.plan import requested_slices
from exporter.core.publication import Publication, PublishedSlice, row_series
from exporter.core.series_limit import limited
from exporter.core.settled_days import SettledDayFinder, wants_by_filters

if TYPE_CHECKING:
    from exporter.core.model import Dimensions, Media, PlayRow, Ranking, Slice, SliceData, Snapshot
    from exporter.core.publication import PublicationRules

_NOTHING: Final = ByIds(frozenset())


def publish(snapshot: Snapshot, rules: PublicationRules, now: float) -> Publication:
    """The publication of a snapshot at `now` (seconds since 1970)."""
    return PublicationBuilder().publish(snapshot, rules, now)


class PublicationBuilder:
    """Builds successive publications, each the same as from `publish`, and reads only slices that have changed.

    What is equal to the previous publication is the same object: slices, their rows, and all media.
    """

    def __init__(self) -> None:
        self._rules: PublicationRules | None = None
        self._until = 0.0  # until then the same slices are covered
        self._tracked: list[_TrackedSlice] = []
        self._finders: dict[tuple[str, Dimensions], SettledDayFinder] = {}
        self._days: dict[int, float] = {}
        self._media_info = MediaInfoIndex()
        self._metadata = MetadataPublisher()

    def publish(self, snapshot: Snapshot, rules: PublicationRules, now: float) -> Publication:
        """The publication of a snapshot at `now` (seconds since 1970)."""
        until = play_dates.next_midnight(now)
        if rules is not self._rules or until != self._until:
            self._begin(rules, now, until)
        for tracked in self._tracked:
            tracked.update(snapshot.slices.get(tracked.slice), rules.stale_after, now)
        views = [tracked.view for tracked in self._tracked if tracked.view is not None]
        slices = tuple(view.published for view in views if view.published is not None)
        for finder in self._finders.values():
            finder.update(snapshot.slices)
        days = tuple(finder.day for finder in self._finders.values() if finder.day is not None)
        self._media_info.update((*slices, *days))
        self._metadata.update(self._media_info.media, snapshot.metadata, rules)
        of_rows = sum(view.series for view in views) + sum(finder.series for finder in self._finders.values())
        publication = Publication(
            slices=slices,
            media=self._media_info.media,
            days=self._days,
            series=of_rows + self._media_info.series + self._metadata.series,
            dropped=0,
            valid_from=play_dates.start(play_dates.today(now)),
            valid_until=min([until, *(view.expires for view in views)]),
            settled_days=days,
            metadata=self._metadata.media,
            categories=self._metadata.categories,
        )
        return publication if publication.series <= rules.series_limit else limited(publication, rules.series_limit)

    def _begin(self, rules: PublicationRules, now: float, until: float) -> None:
        """Set up the covered slices, on a new day or with new rules."""
        known = {tracked.slice: tracked.view for tracked in self._tracked}
        self._tracked = [
            _TrackedSlice(slice_, wants, known.get(slice_))
            for slice_, wants in requested_slices(rules.queries, now).items()
        ]
        finders = self._finders
        self._finders = {}
        for key, wants in wants_by_filters(rules.queries).items():
            finder = finders.get(key)
            self._finders[key] = finder if finder and finder.wants == wants else SettledDayFinder(*key, wants)
            self._finders[key].begin(play_dates.today(now))
        days_ago = rules.days_ago
        if days_ago is None:
            days_ago = frozenset(ago for query in rules.queries for ago in query.days_ago)
        self._days = {ago: play_dates.start(play_dates.play_date(now, ago)) for ago in sorted(days_ago)}
        if self._media_info.media_info_ownership != rules.media_info_ownership:
            self._media_info = MediaInfoIndex(rules.media_info_ownership)
        self._rules, self._until = rules, until


@dataclass(slots=True)
class _TrackedSlice:
    """A slice that queries cover, and its last view; None: nothing is known of it."""

    slice: Slice
    wants: tuple[Media, ...]
    view: _SliceView | None

    def update(self, data: SliceData | None, stale_after: float, now: float) -> None:
        """Build a new view if the current one is outdated."""
        if data is None:
            self.view = None
        elif self.view is None or not self.view.is_current(data, self.wants, stale_after, now):
            self.view = _SliceView(data, self.wants, stale_after, now, self.view)


class _SliceView:
    """What queries want of one slice, as published at one instant.

    * `published`: None if all of it is stale. `series`: the number of its media series.
    * `expires`: when the first published record becomes stale. `_oldest`: when the first of them was observed.

    Rows equal to those of the view `before` are the same object.
    """

    def __init__(
        self, data: SliceData, wants: tuple[Media, ...], stale_after: float, now: float, before: _SliceView | None
    ) -> None:
        self._data = data
        self._wants = wants
        self._stale_after = stale_after
        self._now = now
        self._until = play_dates.next_midnight(now)
        self.series = 0
        self.expires = self._oldest = float("inf")
        self.rows: dict[str, PlayRow | None] = {}
        # A search that has found nothing, or has not run yet, wants nothing: that is not final.
        settled = any(want != _NOTHING for want in wants)
        for want in wants:
            all_settled = self._show_all(want)
            settled = settled and all_settled
        oldest = self._oldest if self.rows else 0.0
        fresh = bool(self.rows) or self._not_stale(Freshness(data.last_response_at, settled=settled))
        if before is not None and before.rows == self.rows:
            self.rows, self.series = before.rows, before.series
        else:
            self.series = sum(map(row_series, self.rows.values()))
        self.published = self._shown(before, oldest, settled=settled) if fresh else None

    def is_current(self, data: SliceData, wants: tuple[Media, ...], stale_after: float, now: float) -> bool:
        """Whether a new view would be the same."""
        return (
            self._data is data
            and self._now <= now < min(self.expires, self._until)
            and self._stale_after == stale_after
            and self._wants == wants
        )

    def _shown(self, before: _SliceView | None, oldest: float, *, settled: bool) -> PublishedSlice:
        """The slice with its total, unless polls by ID have read all rows since: then it may be that of hours ago."""
        data = self._data
        ago = play_dates.days_ago(self._now, data.slice.play_date)
        is_current = data.total_at >= oldest and self._not_stale(Freshness(data.total_at, settled=settled))
        total = data.total if is_current else None
        shown = PublishedSlice(data.slice, ago, self.rows, total, data.updated_at, settled, data.ready)
        return before.published if before is not None and before.published == shown else shown

    def _show_all(self, want: Media) -> bool:
        """Publish what is known of the wanted media; returns whether all of it is settled."""
        match want:
            case ByIds(ids):
                shown = [self._show(media_id, zeros=True) for media_id in ids]
                return all(shown)
            case Top():
                ranking = self._data.ranking(want)
                shown = [self._show(media_id) for media_id in self._ids(ranking)]
                return ranking is not None and ranking.freshness.settled and all(shown)
            case Everything():
                self._show_all_rows()
                return self._data.listed is not None and self._data.listed.settled

    def _show_all_rows(self) -> None:
        """Publish every known row that is not stale: the same as `_show` for each, at a third of the cost."""
        not_stale: dict[int, bool] = {}  # by identity: the records of a slice share few objects
        for media_id, record in self._data.records.items():
            if record.row is not None:
                key = id(record.freshness)
                if key not in not_stale:
                    not_stale[key] = self._not_stale(record.freshness)
                if not_stale[key]:
                    self.rows[media_id] = record.row

    def _show(self, media_id: str, *, zeros: bool = False) -> bool:
        """Publish what is known of a video unless it is stale; returns whether it is settled."""
        record = self._data.record(media_id)
        if record is not None and (zeros or record.row is not None) and self._not_stale(record.freshness):
            self.rows[media_id] = record.row
        return record is not None and record.freshness.settled

    def _ids(self, ranking: Ranking | None) -> tuple[str, ...]:
        return ranking.media_ids if ranking is not None and self._not_stale(ranking.freshness) else ()

    def _not_stale(self, freshness: Freshness) -> bool:
        """Whether something is settled or not stale yet; records when it becomes stale, and the oldest time."""
        stale_at = freshness.observed_at + self._stale_after
        if not freshness.settled:
            if stale_at <= self._now:
                return False
            self.expires = min(self.expires, stale_at)
        self._oldest = min(self._oldest, freshness.observed_at)
        return True
