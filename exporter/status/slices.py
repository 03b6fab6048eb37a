"""The state of each requested slice and of each play date."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from exporter.core import plan, play_dates
from exporter.status.model import State
from exporter.status.views import DayView, SliceView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from exporter.core.model import Dimensions, Slice, SliceData
    from exporter.core.publication import PublishedSlice
    from exporter.status.filters import Filters
    from exporter.status.model import StatusInput

_STATES: Final = tuple(State)


def slices(observed: StatusInput) -> list[SliceView]:
    """Return every slice that a query covers today, newest play date first."""
    # The publication's time, so that days_ago means the same day in both, even around midnight.
    now = observed.publication.valid_from
    queries: defaultdict[Slice, list[str]] = defaultdict(list)
    for query in observed.queries:
        for slice_ in plan.slices(query, now):
            queries[slice_].append(query.name)
    published = {shown.slice: shown for shown in observed.publication.slices}
    errors = _errors(observed)
    views = [
        _view(slice_, published.get(slice_), observed.snapshot.slices.get(slice_), errors.get(slice_), names, now)
        for slice_, names in queries.items()
    ]
    return sorted(views, key=_by_day)


def days_of(views: Iterable[SliceView], now: float) -> tuple[DayView, ...]:
    """Return every play date that queries can request, the oldest first; `now` is in seconds since 1970."""
    counts: defaultdict[int, Counter[State]] = defaultdict(Counter)
    for view in views:
        counts[view.days_ago][view.state] += 1
    return tuple(
        DayView(ago, play_dates.play_date(now, ago), counts[ago].total(), dict(counts[ago]))
        for ago in range(play_dates.OLDEST_DAYS_AGO, -1, -1)
    )


def filtered(views: Iterable[SliceView], filters: Filters) -> list[SliceView]:
    """Return the slices that match the filters, in their order."""
    return sorted((view for view in views if _matches(view, filters)), key=_ORDERS[filters.sort])


def specificity(dimensions: Dimensions) -> tuple[int, tuple[str, ...]]:
    """Return a sort key that puts the dimensions with the fewest filters first."""
    return _fewest_first(dimensions.labels)


def _fewest_first(values: tuple[str, str, str]) -> tuple[int, tuple[str, ...]]:
    return sum(value != "all" for value in values), values


def _view(
    slice_: Slice,
    shown: PublishedSlice | None,
    known: SliceData | None,
    error: str | None,
    queries: Iterable[str],
    now: float,
) -> SliceView:
    terminal_type, os, region = slice_.dimensions.labels
    return SliceView(
        account=slice_.account,
        terminal_type=terminal_type,
        os=os,
        region=region,
        days_ago=play_dates.days_ago(now, slice_.play_date),
        play_date=slice_.play_date,
        state=_state(shown, known),
        updated_at=known.updated_at if known else None,
        rows=len(shown.rows) if shown else 0,
        total=shown.total if shown else None,
        error=error,
        queries=tuple(queries),
    )


def _state(shown: PublishedSlice | None, known: SliceData | None) -> State:
    if known is None:
        return State.UNANSWERED
    if shown is None:
        return State.STALE
    if shown.settled:
        return State.SETTLED
    return State.UNSETTLED if shown.ready else State.NOT_READY


def _errors(observed: StatusInput) -> Mapping[Slice, str]:
    """Return the first error code of the last poll of each slice that had an error."""
    codes: dict[Slice, str] = {}
    for report in sorted(observed.reports, key=lambda report: report.ended_at):
        for outcome in report.outcomes:
            codes.pop(outcome.slice, None)
            if outcome.errors:
                codes[outcome.slice] = outcome.errors[0].code
    return codes


def _matches(view: SliceView, filters: Filters) -> bool:
    return (
        all(
            not wanted or wanted == actual
            for wanted, actual in (
                (filters.account, view.account),
                (filters.state, view.state),
                (filters.terminal_type, view.terminal_type),
                (filters.os, view.os),
                (filters.region, view.region),
            )
        )
        and (not filters.query or filters.query in view.queries)
        and filters.days_ago in {None, view.days_ago}
    )


def _by_day(view: SliceView) -> tuple[Any, ...]:
    # Alphabetical order alone would mix "all" with its parts.
    return view.days_ago, view.account, _fewest_first((view.terminal_type, view.os, view.region))


_ORDERS: Final[Mapping[str, Callable[[SliceView], tuple[Any, ...]]]] = {
    "days_ago": _by_day,
    "age": lambda view: (view.updated_at or 0.0, *_by_day(view)),
    "rows": lambda view: (-view.rows, *_by_day(view)),
    "state": lambda view: (_STATES.index(view.state), *_by_day(view)),
}
