"""The published media: plays, the change within a week as in the alert rules, and the last 30 days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.model import ByIds, Dimensions, Slice, Top
from exporter.status.filters import Filters
from exporter.status.formatting import finite
from exporter.status.slices import labels
from exporter.status.views import ComparisonView, MediaView

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import Any

    from exporter.core.model import PlayRow
    from exporter.core.publication import PublishedMedia, PublishedSlice
    from exporter.status.model import StatusInput

    Plays = int | float | None

# As in deploy/prometheus/rules: compare yesterday with a week before if both are settled, else the day before
# yesterday. Media that lost more than half of at least LEAST_PLAYS plays have dropped.
COMPARED: Final = ((1, 8), (2, 9))
LARGE_DROP: Final = -0.5
LEAST_PLAYS: Final = 100
HISTORY_DAYS: Final = 30


def media(observed: StatusInput, filters: Filters) -> list[MediaView]:
    """Return the media that match the filters, in their order, without history."""
    part = filters.media.casefold()
    views = _views(observed, _comparisons(observed, filters))
    matching = [
        view
        for view in views
        if (part in view.media_id.casefold() or part in (view.title or "").casefold())
        and (not filters.media_change or is_dropped(view))
    ]
    return sorted(matching, key=_ORDERS[filters.media_sort])


def comparisons(observed: StatusInput) -> tuple[ComparisonView, ...]:
    """Return how many media of each account lost many plays within a week, by settled days only."""
    compared = _comparisons(observed, Filters())
    views = list(_views(observed, compared))

    def of(account: str, comparison: _Comparison) -> ComparisonView:
        final = [view for view in views if view.account == account and view.difference is not None]
        before = comparison.week_before
        return ComparisonView(
            account,
            *labels(comparison.dimensions),
            play_date=comparison.day.slice.play_date if before else None,
            week_before=before.slice.play_date if before else None,
            media=len(final),
            dropped=sum(map(is_dropped, final)),
        )

    return tuple(of(account, comparison) for account, comparison in compared.items())


def is_dropped(view: MediaView) -> bool:
    """Return whether a media lost more than half of at least 100 plays."""
    return view.change is not None and view.change < LARGE_DROP and finite(view.plays_week_before or 0) >= LEAST_PLAYS


def _views(observed: StatusInput, compared: Mapping[str, _Comparison]) -> Iterator[MediaView]:
    for known in observed.publication.media:
        if known.account in compared:
            unknown = (known.account, known.media_id) in observed.unknown_media
            if (view := compared[known.account].view(known, unknown=unknown)) is not None:
                yield view


def history(observed: StatusInput, view: MediaView) -> tuple[Plays, ...]:
    """Return the plays of the 30 days before today, the oldest first; None: not known.

    A row that became stale before it was settled counts as not known: it would look like a day with few plays.
    """
    today = play_dates.today(observed.publication.valid_from)
    stale_before = observed.now - observed.settings.stale_after
    values = (None if value == "all" else value for value in (view.terminal_type, view.os, view.region))
    dimensions = Dimensions(*values)

    def on(days_ago: int) -> Plays:
        data = observed.snapshot.slices.get(Slice(view.account, dimensions, today - timedelta(days=days_ago)))
        record = data.answer(view.media_id) if data else None
        if record is None or not (record.freshness.settled or record.freshness.observed_at > stale_before):
            return None
        return _plays(record.row)

    return tuple(on(days_ago) for days_ago in range(HISTORY_DAYS, 0, -1))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What is shown of an account: one combination of filters, one day, and a week before if both are settled.

    `requested` are the media that the selected query requests, None: any. `is_complete`: media without a row were not
    played.
    """

    dimensions: Dimensions
    day: PublishedSlice
    week_before: PublishedSlice | None
    requested: Collection[str] | None
    is_complete: bool

    def view(self, known: PublishedMedia, *, unknown: bool) -> MediaView | None:
        """Return the view of a media, or None if it has no plays here or is not requested."""
        media_id = known.media_id
        now = _plays(self.day.rows[media_id]) if media_id in self.day.rows else None
        earlier_rows = self.week_before.rows if self.week_before else {}
        before = _plays(earlier_rows[media_id]) if media_id in earlier_rows else None
        if now is None and before is not None and self.is_complete:
            now = 0
        if (now is None and before is None) or (self.requested is not None and media_id not in self.requested):
            return None
        terminal_type, os, region = labels(self.dimensions)
        return MediaView(
            account=known.account,
            media_id=media_id,
            title=known.title,
            terminal_type=terminal_type,
            os=os,
            region=region,
            play_date=self.day.slice.play_date,
            plays=now,
            plays_week_before=before,
            difference=_difference(now, before),
            change=None if now is None or not before else finite(finite(now) / finite(before) - 1),
            history=(),
            unknown=unknown,
        )


def _comparisons(observed: StatusInput, filters: Filters) -> Mapping[str, _Comparison]:
    """Return the comparison to show of each account."""
    queries = [query for query in observed.queries if filters.query in {"", query.name}]
    published = {shown.slice: shown for shown in observed.publication.slices}
    today = play_dates.today(observed.publication.valid_from)
    found: dict[str, _Comparison] = {}
    for account in dict.fromkeys(query.account for query in queries if filters.account in {"", query.account}):
        selected = [query for query in queries if query.account == account]
        matching = {each for query in selected for each in query.dimensions if _matches(each, filters)}
        if not matching:
            continue
        dimensions = min(matching, key=_specificity)
        shown = {
            ago: slice_
            for ago in range(play_dates.OLDEST_DAYS_AGO + 1)
            if (slice_ := published.get(Slice(account, dimensions, today - timedelta(days=ago)))) is not None
        }
        day, week_before = _compared(shown, filters.days_ago)
        if day is None:
            continue
        requested = None
        if filters.query:
            data = observed.snapshot.slices[day.slice]
            match selected[0].media:
                case ByIds(ids):
                    requested = ids
                case Top() as top:
                    ranking = data.ranking(top)
                    requested = frozenset(ranking.media_ids if ranking else ())
        played = sum(1 for row in day.rows.values() if _plays(row))
        found[account] = _Comparison(dimensions, day, week_before, requested, day.settled and day.total == played)
    return found


def _compared(
    shown: Mapping[int, PublishedSlice], days_ago: int | None
) -> tuple[PublishedSlice | None, PublishedSlice | None]:
    """Return the day to show and the day to compare it with; `shown` are the published slices by days ago."""
    for day, week_before in COMPARED if days_ago is None else ((days_ago, days_ago + 7),):
        pair = shown.get(day), shown.get(week_before)
        if all(each is not None and each.settled for each in pair):
            return pair
    if days_ago is not None:
        return shown.get(days_ago), None
    finished = [published for ago, published in shown.items() if ago > 0 and published.rows]
    return (finished[0] if finished else shown.get(0)), None


def _matches(dimensions: Dimensions, filters: Filters) -> bool:
    wanted = (filters.terminal_type, filters.os, filters.region)
    return all(want in {"", actual} for want, actual in zip(wanted, labels(dimensions), strict=True))


def _specificity(dimensions: Dimensions) -> tuple[int, tuple[str, ...]]:
    """Sort key that puts the dimensions with the fewest filters first."""
    values = labels(dimensions)
    return sum(value != "all" for value in values), values


def _plays(row: PlayRow | None) -> Plays:
    """Return the plays of a row, None if it has no such field; 0 without a row, since the media was not played."""
    return row.plays if row else 0


def _difference(now: Plays, before: Plays) -> Plays:
    """Subtract exactly if both are integers, which may exceed the range of floats."""
    if now is None or before is None:
        return None
    if isinstance(now, int) and isinstance(before, int):
        return now - before
    return finite(finite(now) - finite(before))


def _by_plays(view: MediaView) -> tuple[Any, ...]:
    return -finite(view.plays or 0), -finite(view.plays_week_before or 0), view.account, view.media_id


def _by_difference(direction: int) -> Callable[[MediaView], tuple[Any, ...]]:
    return lambda view: (view.difference is None, direction * finite(view.difference or 0), *_by_plays(view))


_ORDERS: Final[Mapping[str, Callable[[MediaView], tuple[Any, ...]]]] = {
    "plays": _by_plays,
    "fall": _by_difference(1),
    "rise": _by_difference(-1),
    "title": lambda view: ((view.title or view.media_id).casefold(), *_by_plays(view)),
}
