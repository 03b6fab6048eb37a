from __future__ import annotations

from dataclasses import replace

from exporter.core.model import Dimensions
from exporter.errors import ErrorKind, UpstreamError
from exporter.status.filters import Filters
from exporter.status.model import State
from exporter.status.slices import days_of, filtered, slices
from tests.status.examples import (
    EVERYTHING,
    NOW,
    day,
    known,
    observed,
    report,
)


def test_every_requested_slice_is_listed_with_its_state() -> None:
    views = slices(
        observed(
            known(0, {"a": 1}, settled=False),
            known(1, {"a": 1, "b": 2}),
            known(2, {"a": 1}, settled=False, at=NOW - 3 * 86_400),
            known(8, {}, settled=False, ready=False, total=None),
        )
    )

    assert {view.days_ago: (view.state, view.rows, view.total) for view in views} == {
        0: (State.UNSETTLED, 1, 1),
        1: (State.SETTLED, 2, 2),
        2: (State.STALE, 0, None),
        8: (State.NOT_READY, 0, None),
        9: (State.UNANSWERED, 0, None),
    }
    assert [view.updated_at for view in views] == [NOW, NOW, NOW - 3 * 86_400, NOW, None]
    assert [view.play_date for view in views] == [day(0), day(1), day(2), day(8), day(9)]


def test_days_ago_is_counted_from_the_time_of_the_publication() -> None:
    before_midnight = observed(known(0, {"a": 1}, settled=False))

    views = slices(replace(before_midnight, now=NOW + 86_400))

    assert next(view.days_ago for view in views if view.rows) == 0


def test_a_slice_lists_its_queries_and_its_last_error() -> None:
    other = replace(EVERYTHING, name="other", days_ago=(1,))
    refused = UpstreamError("no", code="Forbidden", kind=ErrorKind.AUTH)

    def last(*reports_: object) -> str | None:
        views = slices(observed(queries=(EVERYTHING, other), reports=reports_))  # type: ignore[arg-type]
        return next(view.error for view in views if view.days_ago == 1)

    (yesterday,) = (view for view in slices(observed(queries=(EVERYTHING, other))) if view.days_ago == 1)
    assert yesterday.queries == ("q", "other")
    assert last(report(other, refused)) == "Forbidden"
    assert last(report(EVERYTHING, at=NOW), report(other, refused, at=NOW - 60)) is None
    assert last(report(EVERYTHING, at=NOW - 60), report(other, refused, at=NOW)) == "Forbidden"


def test_every_day_that_can_be_requested_is_listed_oldest_first() -> None:
    days = days_of(slices(observed(known(1, {}), known(8, {}, settled=False))), NOW)

    assert [view.days_ago for view in days] == list(range(30, -1, -1))
    assert {view.days_ago: dict(view.states) for view in days if view.slices} == {
        0: {State.UNANSWERED: 1},
        1: {State.SETTLED: 1},
        2: {State.UNANSWERED: 1},
        8: {State.UNSETTLED: 1},
        9: {State.UNANSWERED: 1},
    }
    assert days[-2].play_date == day(1)


def test_filters_keep_only_slices_that_match_all_of_them() -> None:
    wide = replace(EVERYTHING, name="wide", account="other", dimensions=(Dimensions(os="iOS"), Dimensions("Web")))
    views = slices(observed(known(1, {"a": 1}), queries=(EVERYTHING, wide)))

    def count(choice: Filters) -> int:
        return len(filtered(views, choice))

    assert count(Filters()) == 15
    assert count(Filters(account="main")) == 5
    assert count(Filters(query="wide")) == 10
    assert count(Filters(days_ago=1)) == 3
    assert count(Filters(state="settled")) == 1
    assert count(Filters(os="iOS")) == 5
    assert count(Filters(os="all", terminal_type="all")) == 5
    assert count(Filters(terminal_type="Web", days_ago=0, account="other")) == 1
    assert count(Filters(region="cn-beijing")) == 0


def test_the_sort_parameter_sets_the_order() -> None:
    views = slices(
        observed(
            known(0, {"a": 1}, settled=False, at=NOW - 10),
            known(1, {"a": 1, "b": 1}, at=NOW - 20),
            known(2, {"a": 1, "b": 1, "c": 1}, at=NOW - 5),
        )
    )

    def order(sort: str) -> list[int]:
        return [view.days_ago for view in filtered(views, Filters(sort=sort))]

    assert order("days_ago") == [0, 1, 2, 8, 9]
    assert order("rows") == [2, 1, 0, 8, 9]
    assert order("age") == [8, 9, 1, 0, 2]
    assert order("state") == [8, 9, 0, 1, 2]
