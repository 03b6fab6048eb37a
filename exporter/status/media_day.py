"""Chooses what is shown of the media of an account: one combination of filters, one day, and a week before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.model import ByIds, Everything, Slice, Top
from exporter.status.slices import specificity

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from exporter.core.model import Dimensions, PlayRow, Query, SliceData
    from exporter.core.publication import PublishedSlice, SettledDay, SettledPlays
    from exporter.status.expectations import Expectations
    from exporter.status.filters import Filters
    from exporter.status.model import StatusInput

    Plays = int | float | None

# Without expected plays: compare yesterday with a week before if both are settled, else the day before yesterday.
_COMPARED: Final = ((1, 8), (2, 9))


@dataclass(frozen=True, slots=True)
class MediaDay:
    """The day that is shown of an account and filters, by media ID.

    * `rows`: what is published of that day. `week_before`: the settled rows a week before, if any.
    * `settled`: its plays and those expected, if it is the last settled day.
    * `is_settled`: whether all `rows` are. `is_complete`: media without a row were not played.
    * `requested`: the media that the selected query requests, None: any.
    """

    dimensions: Dimensions
    play_date: date
    rows: Mapping[str, PlayRow | None]
    week_before: Mapping[str, PlayRow | None] | None
    settled: Mapping[str, SettledPlays]
    is_settled: bool
    is_complete: bool
    requested: Collection[str] | None = None

    def plays(self, media_id: str) -> tuple[Plays, Plays]:
        """Return the plays of a video on that day and a week before, None if not known."""
        is_settled = self.is_settled or media_id in self.settled
        earlier = (self.week_before or {}) if is_settled else {}
        before = plays_of(earlier[media_id]) if media_id in earlier else None
        if media_id in self.settled:
            return self.settled[media_id].plays, before
        now = plays_of(self.rows[media_id]) if media_id in self.rows else None
        return 0 if now is None and before is not None and self.is_complete else now, before


def media_days(observed: StatusInput, filters: Filters, expectations: Expectations | None) -> Mapping[str, MediaDay]:
    """Return the day to show of each account: the selected one, else the last settled day.

    Without expectations: the newest settled day that has a settled one a week before.
    """
    published = {shown.slice: shown for shown in observed.publication.slices}
    found: dict[str, MediaDay] = {}
    queries = [query for query in observed.queries if filters.query in {"", query.name}]
    for account in dict.fromkeys(query.account for query in queries if filters.account in {"", query.account}):
        selected = [query for query in queries if query.account == account]
        matching = {each for query in selected for each in query.dimensions if _matches(each, filters)}
        if matching:
            key = account, min(matching, key=specificity)
            settled = expectations.settled_day(*key) if expectations else None
            day = _day(observed, filters, settled, published, key)
            if day is not None and filters.query:
                day = replace(day, requested=_requested(observed, selected[0], day))
            if day is not None:
                found[account] = day
    return found


def plays_of(row: PlayRow | None) -> Plays:
    """Return the plays of a row, None if it has no such field; 0 without a row, since it was not played."""
    return row.plays if row else 0


def _day(
    observed: StatusInput,
    filters: Filters,
    settled: SettledDay | None,
    published: Mapping[Slice, PublishedSlice],
    key: tuple[str, Dimensions],
) -> MediaDay | None:
    today = play_dates.today(observed.publication.valid_from)
    shown = {
        ago: slice_
        for ago in range(play_dates.OLDEST_DAYS_AGO + 1)
        if (slice_ := published.get(Slice(*key, today - timedelta(days=ago)))) is not None
    }
    if settled is not None and filters.days_ago in {None, (today - settled.slice.play_date).days}:
        play_date = settled.slice.play_date
        ago = (today - play_date).days
        day, week_before = shown.get(ago), shown.get(ago + 7)
        before = _settled_rows(observed.snapshot.slices[Slice(*key, play_date - timedelta(days=7))])
    else:
        day, week_before = _compared(shown, filters.days_ago)
        if day is None:
            return None
        play_date, before, settled = day.slice.play_date, None, None
    if week_before is not None and week_before.settled:
        before = {**(before or {}), **week_before.rows}
    is_settled = day is not None and day.settled
    rows = day.rows if day else {}
    return MediaDay(
        dimensions=key[1],
        play_date=play_date,
        rows=rows,
        week_before=before,
        settled=settled.rows if settled else {},
        is_settled=is_settled,
        is_complete=day is not None and is_settled and day.total == sum(1 for row in rows.values() if plays_of(row)),
    )


def _compared(
    shown: Mapping[int, PublishedSlice], days_ago: int | None
) -> tuple[PublishedSlice | None, PublishedSlice | None]:
    """Return the day to show and the day to compare it with; `shown` are the published slices by days ago."""
    for day, week_before in _COMPARED if days_ago is None else ((days_ago, days_ago + 7),):
        pair = shown.get(day), shown.get(week_before)
        if all(each is not None and each.settled for each in pair):
            return pair
    if days_ago is not None:
        return shown.get(days_ago), None
    finished = [published for ago, published in shown.items() if ago > 0 and published.rows]
    return (finished[0] if finished else shown.get(0)), None


def _settled_rows(data: SliceData) -> Mapping[str, PlayRow | None]:
    return {media_id: record.row for media_id, record in data.records.items() if record.freshness.settled}


def _requested(observed: StatusInput, query: Query, day: MediaDay) -> Collection[str] | None:
    """Return the media that a query requests on a day, None: any; of a top query also those that are gone."""
    match query.media:
        case ByIds(ids):
            return ids
        case Top() as top:
            dates = (day.play_date, day.play_date - timedelta(days=1)) if day.settled else (day.play_date,)
            slices = [observed.snapshot.slices.get(Slice(query.account, day.dimensions, each)) for each in dates]
            rankings = [data.ranking(top) if data else None for data in slices]
            now, *before = [ranking.media_ids if ranking else () for ranking in rankings]
            return {*now, *(media_id for ids in before for media_id in ids if media_id not in day.rows)}
        case Everything():
            return None


def _matches(dimensions: Dimensions, filters: Filters) -> bool:
    wanted = (filters.terminal_type, filters.os, filters.region)
    return all(want in {"", actual} for want, actual in zip(wanted, dimensions.labels, strict=True))
