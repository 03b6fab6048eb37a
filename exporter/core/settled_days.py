"""Finds the last settled day of each account and filters, and compares its plays with those expected."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from operator import is_not
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.expectation import (
    DAY_BEFORE,
    DAY_BEFORE_THAT,
    DAYS_OF_NEW,
    DAYS_USED,
    WEEK_BEFORE,
    expected_plays,
    is_new,
    usual_step,
)
from exporter.core.fields import given_title
from exporter.core.model import ByIds, Dimensions, Everything, Slice, Top
from exporter.core.plan import has_expected_plays
from exporter.core.publication import SettledDay, SettledPlays

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from exporter.core.model import Media, MediaRecord, PlayRow, Query, Ranking, SliceData

# The oldest day whose expectation does not need days that the service no longer returns.
_OLDEST: Final = play_dates.OLDEST_DAYS_AGO + 1 - max(DAYS_USED)
_EARLIER: Final = tuple(sorted({*DAYS_USED, *DAYS_OF_NEW}))


def days_needed(ago: int) -> tuple[int, ...]:
    """The days that must be settled for the plays of a day to be compared with expected ones, that day first."""
    return ago, *(ago - 1 + used for used in DAYS_USED)


def wants_by_filters(queries: Iterable[Query]) -> dict[tuple[str, Dimensions], tuple[Media, ...]]:
    """What queries with expected plays want, by account and filters."""
    wants: dict[tuple[str, Dimensions], tuple[Media, ...]] = {}
    for query in filter(has_expected_plays, queries):
        for dimensions in query.dimensions:
            key = query.account, dimensions
            wants[key] = (*wants.get(key, ()), query.media)
    return wants


class SettledDayFinder:
    """Finds the last settled day of one account and filters; reads only slices that have changed.

    * `day`: None while no day is settled together with those before it that its expectation needs.
    * `series`: the number of its media series.
    """

    def __init__(self, account: str, dimensions: Dimensions, wants: tuple[Media, ...]) -> None:
        self.wants = wants
        self.day: SettledDay | None = None
        self.series = 0
        self._account = account
        self._dimensions = dimensions
        self._slices: dict[int, Slice] = {}
        self._sources: tuple[SliceData, ...] = ()
        self._checked: dict[Slice, tuple[SliceData, SliceData | None, bool]] = {}

    def begin(self, today: date) -> None:
        """Set the day from which days are counted back."""
        days_ago = range(1, play_dates.OLDEST_DAYS_AGO + 2)
        self._slices = {ago: Slice(self._account, self._dimensions, today - timedelta(days=ago)) for ago in days_ago}
        self._checked = {each: self._checked[each] for each in self._slices.values() if each in self._checked}

    def update(self, known: Mapping[Slice, SliceData]) -> None:
        """Find the day in this data."""
        for ago in range(1, _OLDEST + 1):
            day, *needed = (self._settled(known, each) for each in days_needed(ago))
            if day is None or None in needed:
                continue
            earlier = {used: data for used in _EARLIER if (data := self._settled(known, ago - 1 + used)) is not None}
            sources = day, *earlier.values()
            if len(sources) != len(self._sources) or any(map(is_not, sources, self._sources)):
                found = settled_day(day, earlier, self.wants)
                self.day = self.day if found == self.day else found
                self.series = sum(row.series for row in found.rows.values())
                self._sources = sources
            return
        self.day, self.series, self._sources = None, 0, ()

    def _settled(self, known: Mapping[Slice, SliceData], ago: int) -> SliceData | None:
        """The data of a day; None unless it is settled."""
        data = known.get(self._slices[ago])
        return data if data is not None and self._is_settled(data, known.get(self._slices[ago + 1])) else None

    def _is_settled(self, data: SliceData, before: SliceData | None) -> bool:
        checked, checked_before, settled = self._checked.get(data.slice, (None, None, False))
        if checked is not data or checked_before is not before:
            settled = is_settled(data, before, self.wants)
            self._checked[data.slice] = data, before, settled
        return settled


def settled_day(day: SliceData, earlier: Mapping[int, SliceData], wants: Iterable[Media]) -> SettledDay:
    """The plays of the wanted media on a day and those expected from earlier days, by settled records only.

    `earlier`: by the numbers of `expectation.DAYS_USED`, and of `DAYS_OF_NEW` where they are known. A video without a
    row is a zero if the day is complete for it and it is wanted by its ID or plays are expected; otherwise it is left
    out.
    """
    # Of new media only without filters: so low an expectation would hide what a filtered slice lost of the whole.
    of_all = day.slice.dimensions == Dimensions()
    usual = cache(lambda: _usual_step(earlier[DAY_BEFORE_THAT], earlier[WEEK_BEFORE]) if of_all else None)
    rows: dict[str, SettledPlays] = {}
    for want in wants:
        for media_id in _candidates(want, day, earlier[DAY_BEFORE]):
            plays = _plays(day, media_id)
            if plays is None or media_id in rows:
                continue
            before = {used: _plays(earlier[used], media_id) for used in DAYS_USED}
            step = usual() if is_new(before) else None
            if step:
                before |= {used: _plays(earlier[used], media_id) for used in DAYS_OF_NEW if used in earlier}
            expected = expected_plays(before, step)
            if expected or isinstance(want, ByIds) or _row(day, media_id) is not None:
                newest = next(filter(None, (_row(data, media_id) for data in (day, *earlier.values()))), None)
                title, duration = (given_title(newest.title), newest.media_duration) if newest else (None, None)
                rows[media_id] = SettledPlays(plays, expected, title, duration)
    return SettledDay(day.slice, rows)


def _usual_step(before: SliceData, after: SliceData) -> float | None:
    return usual_step((_plays(before, media_id), _plays(after, media_id)) for media_id in before.records)


def is_settled(data: SliceData, before: SliceData | None, wants: Iterable[Media]) -> bool:
    """Whether what is known of the wanted media is final; `before`: the day before.

    Media that were never requested are ignored. So are media, and whatever else a query wants, that were added after
    the others had settled, of which `before` has no older record: they would hide the day until they settle, too. The
    same is true of a search that has found no media.
    """
    settled_at = {want: _settled_at(data, before, want) for want in wants}
    first = min((at for at in settled_at.values() if at is not None), default=None)
    return first is not None and all(at is not None or _is_new(before, want, first) for want, at in settled_at.items())


def _settled_at(data: SliceData, before: SliceData | None, want: Media) -> float | None:
    """When the first of the settled media was observed; None if what is known of the wanted media is not final."""
    match want:
        case ByIds(ids):
            records = {media_id: record for media_id in ids if (record := data.record(media_id)) is not None}
            first = min(
                (record.freshness.observed_at for record in records.values() if record.freshness.settled), default=None
            )
            is_final = first is not None and all(
                record.freshness.settled or _is_new(before, ByIds(frozenset([media_id])), first)
                for media_id, record in records.items()
            )
            return first if is_final else None
        case Top():
            ranking = data.ranking(want)
            is_final = (
                ranking is not None
                and ranking.freshness.settled
                and all(_settled_record(data, media_id) is not None for media_id in ranking.media_ids)
            )
            return ranking.freshness.observed_at if ranking is not None and is_final else None
        case Everything():
            return data.listed.observed_at if data.listed is not None and data.listed.settled else None


def _is_new(before: SliceData | None, want: Media, since: float) -> bool:
    """Whether nothing of the wanted media was known of the day before until `since`."""
    if before is None:
        return True
    known: Iterable[MediaRecord | Ranking | None]
    match want:
        case ByIds(ids):
            known = map(before.record, ids)
        case Top():
            known = [before.ranking(want)]
        case Everything():
            return before.listed is None or before.listed.observed_at > since
    return all(each is None or each.freshness.observed_at > since for each in known)


def _candidates(want: Media, day: SliceData, day_before: SliceData) -> Iterable[str]:
    """The media that may have plays on a day: those wanted then, and those of the day before that have no plays now."""
    if isinstance(want, ByIds):
        return want.ids
    return (*_played(want, day), *(media_id for media_id in _played(want, day_before) if _row(day, media_id) is None))


def _played(want: Top | Everything, data: SliceData) -> Iterable[str]:
    """The media that a query publishes for a day."""
    if isinstance(want, Everything):
        return (media_id for media_id, record in data.records.items() if record.row is not None)
    ranking = data.ranking(want)
    return ranking.media_ids if ranking else ()


def _row(data: SliceData, media_id: str) -> PlayRow | None:
    record = data.records.get(media_id)
    return record.row if record else None


def _settled_record(data: SliceData, media_id: str) -> MediaRecord | None:
    record = data.record(media_id)
    return record if record is not None and record.freshness.settled else None


def _plays(data: SliceData, media_id: str) -> int | float | None:
    """The final number of plays of a video; 0 without a row, None if it is not known or not settled."""
    record = _settled_record(data, media_id)
    if record is None:
        return None
    return record.row.plays if record.row is not None else 0
