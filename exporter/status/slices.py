"""What is known of each slice that is asked for, and of each day."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from exporter.core import plan, play_dates
from exporter.status.views import DayView, SliceView, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from exporter.core.model import Dimensions, Slice, SliceData
    from exporter.core.publication import PublishedSlice
    from exporter.status.filters import Filters
    from exporter.status.model import StatusInput

_STATES: Final = tuple(State)


def slices(observed: StatusInput) -> list[SliceView]:
    """Every slice that a query looks at today, newest day first."""
    # What the publication counts from, so that both mean the same day by days_ago also around midnight.
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
    """The days that can be asked for, the oldest first; `now` is seconds since 1970."""
    counts: defaultdict[int, Counter[State]] = defaultdict(Counter)
    for view in views:
        counts[view.days_ago][view.state] += 1
    return tuple(
        DayView(ago, play_dates.play_date(now, ago), counts[ago].total(), dict(counts[ago]))
        for ago in range(play_dates.OLDEST_DAYS_AGO, -1, -1)
    )


def chosen(views: Iterable[SliceView], choice: Filters) -> list[SliceView]:
    """Those that fit the filters, in the order wanted."""
    return sorted((view for view in views if _fits(view, choice)), key=_ORDERS[choice.sort])


def labels(dimensions: Dimensions) -> tuple[str, str, str]:
    """Terminal type, OS and region as labels have them."""
    return dimensions.terminal_type or "all", dimensions.os or "all", dimensions.region or "all"


def _view(
    slice_: Slice,
    shown: PublishedSlice | None,
    known: SliceData | None,
    error: str | None,
    queries: Iterable[str],
    now: float,
) -> SliceView:
    terminal_type, os, region = labels(slice_.dimensions)
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
    """The code that the last poll of each slice met, where it met one."""
    codes: dict[Slice, str] = {}
    for report in sorted(observed.reports, key=lambda report: report.ended_at):
        for outcome in report.outcomes:
            codes.pop(outcome.slice, None)
            if outcome.errors:
                codes[outcome.slice] = outcome.errors[0].code
    return codes


def _fits(view: SliceView, choice: Filters) -> bool:
    return (
        all(
            not wanted or wanted == has
            for wanted, has in (
                (choice.account, view.account),
                (choice.state, view.state),
                (choice.terminal_type, view.terminal_type),
                (choice.os, view.os),
                (choice.region, view.region),
            )
        )
        and (not choice.query or choice.query in view.queries)
        and choice.days_ago in {None, view.days_ago}
    )


def _by_day(view: SliceView) -> tuple[Any, ...]:
    # "all" before its parts: the filters with fewer letters in the alphabet would mix them.
    filters = (view.terminal_type, view.os, view.region)
    return view.days_ago, view.account, sum(value != "all" for value in filters), *filters


_ORDERS: Final[Mapping[str, Callable[[SliceView], tuple[Any, ...]]]] = {
    "days_ago": _by_day,
    "age": lambda view: (view.updated_at or 0.0, *_by_day(view)),
    "rows": lambda view: (-view.rows, *_by_day(view)),
    "state": lambda view: (_STATES.index(view.state), *_by_day(view)),
}
