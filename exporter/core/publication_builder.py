"""What Prometheus is to see of a snapshot: which days, which media, zeros, nothing stale, within `series_limit`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter.core import play_dates
from exporter.core.media_info import MediaInfoIndex, media_series
from exporter.core.model import ByIds, Everything, Freshness, Top
from exporter.core.plan import requested_slices
from exporter.core.publication import Publication, PublishedSlice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.model import Media, PlayRow, Ranking, Slice, SliceData, Snapshot
    from exporter.core.publication import PublicationRules, PublishedMedia


def publish(snapshot: Snapshot, rules: PublicationRules, now: float) -> Publication:
    """What Prometheus is to see at `now` (seconds since 1970)."""
    return PublicationBuilder().publish(snapshot, rules, now)


class PublicationBuilder:
    """Publishes one snapshot after the other, each as `publish` does, and looks only at slices that have changed.

    What is the same as in the publication before is the very same object: slices, their rows, and all media.
    """

    def __init__(self) -> None:
        self._rules: PublicationRules | None = None
        self._until = 0.0  # until then the same slices are wanted
        self._tracked: list[_TrackedSlice] = []
        self._days: dict[int, float] = {}
        self._media_info = MediaInfoIndex()

    def publish(self, snapshot: Snapshot, rules: PublicationRules, now: float) -> Publication:
        """What Prometheus is to see at `now` (seconds since 1970)."""
        until = play_dates.next_midnight(now)
        if rules is not self._rules or until != self._until:
            self._begin(rules, now, until)
        for place in self._tracked:
            place.see(snapshot.slices.get(place.slice), rules.stale_after, now)
        looks = [place.look for place in self._tracked if place.look is not None]
        slices = tuple(look.published for look in looks if look.published is not None)
        self._media_info.follow(slices)
        media = self._media_info.media
        series = sum(look.series for look in looks) + self._media_info.series
        dropped = 0
        if series > rules.series_limit:
            kept, series, dropped = _limit(slices, media, rules.series_limit)
            slices = tuple(_only(published, kept) for published in slices)
            media = tuple(each for each in media if (each.account, each.media_id) in kept)
        return Publication(
            slices=slices,
            media=media,
            days=self._days,
            series=series,
            dropped=dropped,
            valid_from=play_dates.start(play_dates.today(now)),
            valid_until=min([until, *(look.expires for look in looks)]),
        )

    def _begin(self, rules: PublicationRules, now: float, until: float) -> None:
        """A day begins, or other rules hold: other slices are wanted."""
        known = {place.slice: place.look for place in self._tracked}
        self._tracked = [
            _TrackedSlice(slice_, wants, known.get(slice_))
            for slice_, wants in requested_slices(rules.queries, now).items()
        ]
        told = rules.days_ago
        if told is None:
            told = frozenset(ago for query in rules.queries for ago in query.days_ago)
        self._days = {ago: play_dates.start(play_dates.play_date(now, ago)) for ago in sorted(told)}
        if self._media_info.media_info_ownership != rules.media_info_ownership:
            self._media_info = MediaInfoIndex(rules.media_info_ownership)
        self._rules, self._until = rules, until


@dataclass(slots=True)
class _TrackedSlice:
    """A slice that is wanted, and how it looked last; None: nothing is known of it."""

    slice: Slice
    wants: tuple[Media, ...]
    look: _SliceView | None

    def see(self, data: SliceData | None, stale_after: float, now: float) -> None:
        """Look again where that shows something else."""
        if data is None:
            self.look = None
        elif self.look is None or not self.look.is_current(data, self.wants, stale_after, now):
            self.look = _SliceView(data, self.wants, stale_after, now, self.look)


class _SliceView:
    """One slice, looked at through what is wanted of it at one instant.

    * `published`: what is shown of it; None: it is stale. `series`: how many media series that is.
    * `expires`: when the first of what is shown gets stale.

    Rows that are as they were `before` are shown as the object that they were.
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
        self.expires = float("inf")
        self.rows: dict[str, PlayRow | None] = {}
        settled = bool(wants)
        for want in wants:
            standing = self._show_all(want)
            settled = settled and standing
        fresh = bool(self.rows) or self._not_stale(Freshness(data.last_response_at, settled=settled))
        if before is not None and before.rows == self.rows:
            self.rows, self.series = before.rows, before.series
        else:
            self.series = sum(map(_series, self.rows.values()))
        self.published = self._shown(before, settled=settled) if fresh else None

    def is_current(self, data: SliceData, wants: tuple[Media, ...], stale_after: float, now: float) -> bool:
        """Whether looking again would show nothing else."""
        return (
            self._data is data
            and self._now <= now < min(self.expires, self._until)
            and self._stale_after == stale_after
            and self._wants == wants
        )

    def _shown(self, before: _SliceView | None, *, settled: bool) -> PublishedSlice:
        data = self._data
        ago = play_dates.days_ago(self._now, data.slice.play_date)
        total = data.total if self._not_stale(Freshness(data.total_at, settled=settled)) else None
        shown = PublishedSlice(data.slice, ago, self.rows, total, data.updated_at, settled, data.ready)
        return before.published if before is not None and before.published == shown else shown

    def _show_all(self, want: Media) -> bool:
        """Publish all that is known of what is wanted; whether every bit of it is settled."""
        match want:
            case ByIds(ids):
                shown = [self._show(media_id, zeros=True) for media_id in ids]
                return all(shown)
            case Top():
                ranking = self._data.ranking(want)
                shown = [self._show(media_id) for media_id in self._ids(ranking)]
                return ranking is not None and ranking.freshness.settled and all(shown)
            case Everything():
                self._show_answers()
                return self._data.listed is not None and self._data.listed.settled

    def _show_answers(self) -> None:
        """Publish every row that is known unless it is stale: as `_show` for each, at a third of the cost."""
        lives: dict[int, bool] = {}  # a slice has heard few different things; they are told apart by what they are
        for media_id, answer in self._data.answers.items():
            if answer.row is not None:
                key = id(answer.freshness)
                if key not in lives:
                    lives[key] = self._not_stale(answer.freshness)
                if lives[key]:
                    self.rows[media_id] = answer.row

    def _show(self, media_id: str, *, zeros: bool = False) -> bool:
        """Publish what is known of a media unless it is stale; whether that is settled."""
        answer = self._data.answer(media_id)
        if answer is not None and (zeros or answer.row is not None) and self._not_stale(answer.freshness):
            self.rows[media_id] = answer.row
        return answer is not None and answer.freshness.settled

    def _ids(self, ranking: Ranking | None) -> tuple[str, ...]:
        return ranking.media_ids if ranking is not None and self._not_stale(ranking.freshness) else ()

    def _not_stale(self, freshness: Freshness) -> bool:
        """Whether something is settled or not stale yet; notes when it will be."""
        stale_at = freshness.at + self._stale_after
        if freshness.settled:
            return True
        if stale_at <= self._now:
            return False
        self.expires = min(self.expires, stale_at)
        return True


def _limit(
    slices: Iterable[PublishedSlice], media: Iterable[PublishedMedia], series_limit: int
) -> tuple[set[tuple[str, str]], int, int]:
    """Which media fit under the limit, the most played first, each with all its series or none; series kept, dropped.

    Whole media are left out, so that what is there can be compared over days.
    """
    series = {(each.account, each.media_id): media_series(each) for each in media}
    plays: dict[tuple[str, str], int | float] = dict.fromkeys(series, 0)
    for published in slices:
        for media_id, row in published.rows.items():
            key = published.slice.account, media_id
            series[key] += _series(row)
            plays[key] = max(plays[key], (row.plays if row else None) or 0)
    kept: set[tuple[str, str]] = set()
    total = room = 0
    for key in sorted(series, key=lambda key: (-plays[key], key)):
        total += series[key]
        if total <= series_limit:
            kept.add(key)
            room = total
    return kept, room, total - room


def _series(row: PlayRow | None) -> int:
    """How many series a row has: zeros have no per-viewer series, what was not given has none at all."""
    if row is None:
        return 3
    fields = (row.plays, row.viewers, row.plays_per_viewer, row.play_duration, row.play_duration_per_viewer)
    return len(fields) - fields.count(None)


def _only(published: PublishedSlice, kept: set[tuple[str, str]]) -> PublishedSlice:
    account = published.slice.account
    return replace(published, rows={m: row for m, row in published.rows.items() if (account, m) in kept})
