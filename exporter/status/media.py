"""The media that are published: plays, the change within a week as the alerts see it, and the last 30 days."""

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

# As deploy/prometheus/rules has it: yesterday and a week before it where both are settled, else the day before; and
# what is less than half of at least so many plays is a drop.
COMPARED: Final = ((1, 8), (2, 9))
LARGE_DROP: Final = -0.5
LEAST_PLAYS: Final = 100
HISTORY_DAYS: Final = 30


def media(observed: StatusInput, choice: Filters) -> list[MediaView]:
    """The media that fit the filters, in the order wanted, without their history."""
    part = choice.media.casefold()
    views = _views(observed, _comparisons(observed, choice))
    wanted = [
        view
        for view in views
        if (part in view.media_id.casefold() or part in (view.title or "").casefold())
        and (not choice.media_change or is_dropped(view))
    ]
    return sorted(wanted, key=_ORDERS[choice.media_sort])


def comparisons(observed: StatusInput) -> tuple[ComparisonView, ...]:
    """How many media of each account lost many plays within a week, as far as final days tell."""
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
    """Whether a media lost more than half of at least 100 plays."""
    return view.change is not None and view.change < LARGE_DROP and finite(view.plays_week_before or 0) >= LEAST_PLAYS


def _views(observed: StatusInput, compared: Mapping[str, _Comparison]) -> Iterator[MediaView]:
    for known in observed.publication.media:
        if known.account in compared:
            unknown = (known.account, known.media_id) in observed.unknown_media
            if (view := compared[known.account].view(known, unknown=unknown)) is not None:
                yield view


def history(observed: StatusInput, view: MediaView) -> tuple[Plays, ...]:
    """The plays of the 30 days before today, the oldest first; today is not over yet.

    What got stale before it was final is not known: it would look like a day with few plays.
    """
    today = play_dates.today(observed.publication.valid_from)
    oldest_heard = observed.now - observed.settings.stale_after
    filters = (None if value == "all" else value for value in (view.terminal_type, view.os, view.region))
    dimensions = Dimensions(*filters)

    def on(days_ago: int) -> Plays:
        known = observed.snapshot.slices.get(Slice(view.account, dimensions, today - timedelta(days=days_ago)))
        answer = known.answer(view.media_id) if known else None
        if answer is None or not (answer.freshness.settled or answer.freshness.observed_at > oldest_heard):
            return None
        return _plays(answer.row)

    return tuple(on(days_ago) for days_ago in range(HISTORY_DAYS, 0, -1))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What is shown of an account: one combination of filters, one day, and a week before where both are settled.

    `asked` are the media that the chosen query asks for, None: any. `is_whole`: a media without a row was not played.
    """

    dimensions: Dimensions
    day: PublishedSlice
    week_before: PublishedSlice | None
    asked: Collection[str] | None
    is_whole: bool

    def view(self, known: PublishedMedia, *, unknown: bool) -> MediaView | None:
        """What is said of a media; None: it is not part of this."""
        media_id = known.media_id
        now = _plays(self.day.rows[media_id]) if media_id in self.day.rows else None
        then = self.week_before.rows if self.week_before else {}
        before = _plays(then[media_id]) if media_id in then else None
        if now is None and before is not None and self.is_whole:
            now = 0
        if (now is None and before is None) or (self.asked is not None and media_id not in self.asked):
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


def _comparisons(observed: StatusInput, choice: Filters) -> Mapping[str, _Comparison]:
    """What is shown, by account."""
    queries = [query for query in observed.queries if choice.query in {"", query.name}]
    published = {shown.slice: shown for shown in observed.publication.slices}
    today = play_dates.today(observed.publication.valid_from)
    found: dict[str, _Comparison] = {}
    for account in dict.fromkeys(query.account for query in queries if choice.account in {"", query.account}):
        asking = [query for query in queries if query.account == account]
        fitting = {each for query in asking for each in query.dimensions if _fits(each, choice)}
        if not fitting:
            continue
        dimensions = min(fitting, key=_width)
        shown = {
            ago: there
            for ago in range(play_dates.OLDEST_DAYS_AGO + 1)
            if (there := published.get(Slice(account, dimensions, today - timedelta(days=ago)))) is not None
        }
        day, week_before = _compared(shown, choice.days_ago)
        if day is None:
            continue
        asked = None
        if choice.query:
            known = observed.snapshot.slices[day.slice]
            match asking[0].media:
                case ByIds(ids):
                    asked = ids
                case Top() as top:
                    ranking = known.ranking(top)
                    asked = frozenset(ranking.media_ids if ranking else ())
        played = sum(1 for row in day.rows.values() if _plays(row))
        found[account] = _Comparison(dimensions, day, week_before, asked, day.settled and day.total == played)
    return found


def _compared(
    shown: Mapping[int, PublishedSlice], days_ago: int | None
) -> tuple[PublishedSlice | None, PublishedSlice | None]:
    """The day to show and the one to compare it with, by how many days ago they are."""
    for day, week_before in COMPARED if days_ago is None else ((days_ago, days_ago + 7),):
        pair = shown.get(day), shown.get(week_before)
        if all(each is not None and each.settled for each in pair):
            return pair
    if days_ago is not None:
        return shown.get(days_ago), None
    finished = [published for ago, published in shown.items() if ago > 0 and published.rows]
    return (finished[0] if finished else shown.get(0)), None


def _fits(dimensions: Dimensions, choice: Filters) -> bool:
    wanted = (choice.terminal_type, choice.os, choice.region)
    return all(want in {"", has} for want, has in zip(wanted, labels(dimensions), strict=True))


def _width(dimensions: Dimensions) -> tuple[int, tuple[str, ...]]:
    """The total before its parts."""
    values = labels(dimensions)
    return sum(value != "all" for value in values), values


def _plays(row: PlayRow | None) -> Plays:
    """None is a row that says nothing of plays; no row is a media without plays."""
    return row.plays if row else 0


def _difference(now: Plays, before: Plays) -> Plays:
    """Whole numbers are of any size, and floats hold no more than they do."""
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
