"""What Prometheus is to see of a snapshot: which days, which media, zeros, and nothing stale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter.core import days
from exporter.core.model import ByIds, Everything, Heard, Top
from exporter.core.plan import wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.model import Media, PlayRow, Query, Ranking, Slice, SliceData
    from exporter.core.snapshot import Snapshot


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
class Rules:
    """What may be published: the configured queries, how old (seconds) what is not settled may be, how many series.

    One of several replicas tells title and length only of media of the accounts it `describes`, and the date only of
    its `days_ago`; None: all.
    """

    queries: tuple[Query, ...]
    stale_after: float
    series_limit: int
    describes: frozenset[str] | None = None
    days_ago: frozenset[int] | None = None


def publish(snapshot: Snapshot, rules: Rules, now: float) -> Publication:
    """What Prometheus is to see at `now` (seconds since 1970)."""
    looks = [
        _Look(data, wants, rules.stale_after, now)
        for slice_, wants in wanted(rules.queries, now).items()
        if (data := snapshot.slices.get(slice_)) is not None
    ]
    slices = [look.published() for look in looks if look.fresh]
    media = _media(slices, rules.describes)
    kept, series, dropped = _limit(slices, media, rules.series_limit)
    if dropped:
        slices = [_only(published, kept) for published in slices]
        media = {key: what for key, what in media.items() if key in kept}
    told = rules.days_ago
    if told is None:
        told = frozenset(ago for query in rules.queries for ago in query.days_ago)
    midnight = days.next_midnight(now)
    return Publication(
        slices=tuple(slices),
        media=tuple(media.values()),
        days={ago: days.start(days.play_date(now, ago)) for ago in sorted(told)},
        series=series,
        dropped=dropped,
        valid_from=days.start(days.today(now)),
        valid_until=min([midnight, *(look.expires for look in looks)]),
    )


class _Look:
    """One slice, looked at through what is wanted of it at one instant."""

    def __init__(self, data: SliceData, wants: tuple[Media, ...], stale_after: float, now: float) -> None:
        self.data = data
        self.now = now
        self.stale_after = stale_after
        self.expires = float("inf")  # when the first of what is shown gets stale
        self.settled = bool(wants)
        self.rows: dict[str, PlayRow | None] = {}
        for want in wants:
            standing = self._show_all(want)
            self.settled = self.settled and standing
        self.fresh = bool(self.rows) or self._lives(Heard(data.asked_at, settled=self.settled))

    def published(self) -> PublishedSlice:
        data = self.data
        ago = days.days_ago(self.now, data.slice.play_date)
        total = data.total if self._lives(Heard(data.total_at, settled=self.settled)) else None
        return PublishedSlice(data.slice, ago, self.rows, total, data.updated_at, self.settled, data.ready)

    def _show_all(self, want: Media) -> bool:
        """Publish all that is known of what is wanted; whether every bit of it is settled."""
        match want:
            case ByIds(ids):
                shown = [self._show(media_id, zeros=True) for media_id in ids]
                return all(shown)
            case Top():
                ranking = self.data.ranking(want)
                shown = [self._show(media_id) for media_id in self._ids(ranking)]
                return ranking is not None and ranking.heard.settled and all(shown)
            case Everything():
                for media_id in self.data.answers:
                    self._show(media_id)
                return self.data.swept is not None and self.data.swept.settled

    def _show(self, media_id: str, *, zeros: bool = False) -> bool:
        """Publish what is known of a media unless it is stale; whether that is settled."""
        answer = self.data.answer(media_id)
        if answer is not None and (zeros or answer.row is not None) and self._lives(answer.heard):
            self.rows[media_id] = answer.row
        return answer is not None and answer.heard.settled

    def _ids(self, ranking: Ranking | None) -> tuple[str, ...]:
        return ranking.media_ids if ranking is not None and self._lives(ranking.heard) else ()

    def _lives(self, heard: Heard) -> bool:
        """Whether something is settled or not stale yet; notes when it will be."""
        stale_at = heard.at + self.stale_after
        if heard.settled:
            return True
        if stale_at <= self.now:
            return False
        self.expires = min(self.expires, stale_at)
        return True


def _media(slices: Iterable[PublishedSlice], describes: frozenset[str] | None) -> dict[tuple[str, str], PublishedMedia]:
    """Every media that is shown, with title and length as they were last told where they are described here."""
    newest: dict[tuple[str, str], PublishedMedia] = {}
    told = sorted(slices, key=lambda published: (published.slice.play_date, published.updated_at or 0.0))
    for published in told:
        account = published.slice.account
        if describes is not None and account not in describes:
            newest |= {
                (account, media_id): PublishedMedia(account, media_id, None, None) for media_id in published.rows
            }
            continue
        for media_id, row in published.rows.items():
            known = newest.get((account, media_id))
            title = (row.title if row else None) or (known.title if known else None)
            duration = row.media_duration if row else None
            if duration is None and known:
                duration = known.duration
            newest[account, media_id] = PublishedMedia(account, media_id, title, duration)
    return newest


def _limit(
    slices: Iterable[PublishedSlice], media: Mapping[tuple[str, str], PublishedMedia], series_limit: int
) -> tuple[set[tuple[str, str]], int, int]:
    """Which media fit under the limit, the most played first, each with all its series or none; series kept, dropped.

    Whole media are left out, so that what is there can be compared over days.
    """
    series = {key: (what.title is not None) + (what.duration is not None) for key, what in media.items()}
    plays: dict[tuple[str, str], int | float] = dict.fromkeys(media, 0)
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
    return sum(value is not None for value in fields)


def _only(published: PublishedSlice, kept: set[tuple[str, str]]) -> PublishedSlice:
    account = published.slice.account
    return replace(published, rows={m: row for m, row in published.rows.items() if (account, m) in kept})
