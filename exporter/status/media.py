"""The published media: plays against those expected and those a week before, and the last 30 days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.expectation import DAY_BEFORE, WEEK_BEFORE, has_dropped, loss_order, lost_plays
from exporter.core.fields import given_title
from exporter.core.metadata import category_path
from exporter.core.model import Dimensions, Slice
from exporter.status.filters import Filters
from exporter.status.formatting import finite
from exporter.status.media_day import media_days, plays_of
from exporter.status.views import ComparisonView, MediaView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date
    from typing import Any

    from exporter.core.media_details import AccountMetadata
    from exporter.core.model import MediaRecord
    from exporter.core.publication import PublishedMedia
    from exporter.status.expectations import Expectations
    from exporter.status.media_day import MediaDay
    from exporter.status.model import StatusInput

    Plays = int | float | None

HISTORY_DAYS: Final = 30
_DAY: Final = 86_400


def media(observed: StatusInput, filters: Filters, expectations: Expectations) -> list[MediaView]:
    """Return the media that match the filters, in their order, without history."""
    part = filters.media.casefold()
    matching = [
        view
        for view in _views(observed, media_days(observed, filters, expectations))
        if (part in view.media_id.casefold() or part in (view.title or "").casefold())
        and (not filters.media_change or is_dropped(view))
        and _has_metadata(view, filters, observed.now)
    ]
    return sorted(matching, key=_ORDERS[filters.media_sort])


def _has_metadata(view: MediaView, filters: Filters, now: float) -> bool:
    """Return whether category, tag and age of a video match; a category includes those below it."""
    days = filters.created_within
    return (
        (not filters.category or f"{view.category}/".startswith(f"{filters.category}/"))
        and (not filters.tag or filters.tag in view.tags)
        and (days is None or (view.created_at is not None and now - view.created_at <= days * _DAY))
    )


def is_dropped(view: MediaView) -> bool:
    """Return whether a video lost more than half of at least 100 expected plays."""
    return view.plays is not None and has_dropped(view.plays, view.expected)


def with_details(observed: StatusInput, view: MediaView, expectations: Expectations) -> MediaView:
    """Add what is looked up for the media of one page only: history, and the days that an expectation lacks."""
    slices = observed.snapshot.slices
    values = (None if value == "all" else value for value in (view.terminal_type, view.os, view.region))
    dimensions = Dimensions(*values)
    today = play_dates.today(observed.publication.valid_from)
    stale_before = observed.now - observed.settings.stale_after

    def record(days_ago: int) -> MediaRecord | None:
        data = slices.get(Slice(view.account, dimensions, today - timedelta(days=days_ago)))
        return data.record(view.media_id) if data else None

    def on(days_ago: int) -> Plays:
        """A row that became stale before it was settled is not known: it would look like a day with few plays."""
        known = record(days_ago)
        if known is None or not (known.freshness.settled or known.freshness.observed_at > stale_before):
            return None
        return plays_of(known.row)

    def lacks(days_ago: int) -> bool:
        known = record(days_ago)
        return known is None or not known.freshness.settled or plays_of(known.row) is None

    missing: list[date] = []
    settled = expectations.settled_day(view.account, dimensions)
    if settled is not None and settled.slice.play_date == view.play_date:
        row = settled.rows.get(view.media_id)
        if row is not None and row.expected is None:
            day_after = settled.slice.play_date + timedelta(days=1)
            dates = [day_after - timedelta(days=used) for used in (DAY_BEFORE, WEEK_BEFORE)]
            missing = [each for each in dates if lacks((today - each).days)]
    return replace(
        view,
        history=tuple(on(days_ago) for days_ago in range(HISTORY_DAYS, 0, -1)),
        missing_days=tuple(missing),
    )


def comparisons(observed: StatusInput) -> tuple[ComparisonView, ...]:
    """Return how many media of each account lost many plays within a week, by settled days only."""

    def of(account: str, day: MediaDay) -> ComparisonView:
        known = [day.plays(media.media_id) for media in observed.publication.media if media.account == account]
        pairs = [(finite(now), finite(before)) for now, before in known if now is not None and before is not None]
        week_before = None if day.week_before is None else day.play_date - timedelta(days=7)
        return ComparisonView(
            account,
            *day.dimensions.labels,
            play_date=day.play_date if week_before else None,
            week_before=week_before,
            media=len(pairs),
            dropped=sum(has_dropped(now, before) for now, before in pairs),
        )

    return tuple(of(account, day) for account, day in media_days(observed, Filters(), None).items())


def _views(observed: StatusInput, days: Mapping[str, MediaDay]) -> Iterator[MediaView]:
    for known in observed.publication.media:
        day = days.get(known.account)
        if day is not None and (day.requested is None or known.media_id in day.requested):
            now, before = day.plays(known.media_id)
            if now is not None or before is not None:
                unknown = (known.account, known.media_id) in observed.unknown_media
                view = _view(known, day, now, before, unknown=unknown)
                yield _described(view, observed.snapshot.metadata.get(known.account))


def _described(view: MediaView, about: AccountMetadata | None) -> MediaView:
    """Add what is known from searches and metadata."""
    if about is None:
        return view
    details = about.details.get(view.media_id)
    deleted = view.media_id in about.deleted
    if details is None:
        return replace(view, deleted=deleted) if deleted else view
    return replace(
        view,
        title=view.title or given_title(details.title),
        category=category_path(details, about.tree),
        tags=details.tags or (),
        created_at=details.created_at,
        deleted=deleted,
    )


def _view(known: PublishedMedia, day: MediaDay, now: Plays, before: Plays, *, unknown: bool) -> MediaView:
    settled = day.settled.get(known.media_id)
    terminal_type, os, region = day.dimensions.labels
    return MediaView(
        account=known.account,
        media_id=known.media_id,
        title=known.title or (settled.title if settled else None),
        terminal_type=terminal_type,
        os=os,
        region=region,
        play_date=day.play_date,
        plays=now,
        expected=settled.expected if settled else None,
        lost=lost_plays(settled.plays, settled.expected) if settled else None,
        plays_week_before=before,
        difference=_difference(now, before),
        change=None if now is None or not before else finite(finite(now) / finite(before) - 1),
        unknown=unknown,
    )


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
    "lost": lambda view: loss_order(view.plays, view.lost, view.account, view.media_id),
    "plays": _by_plays,
    "fall": _by_difference(1),
    "rise": _by_difference(-1),
    "title": lambda view: ((view.title or view.media_id).casefold(), *_by_plays(view)),
}
