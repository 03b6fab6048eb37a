from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from exporter.core.model import Dimensions, Freshness, Measure, Ranking, SliceData, Top
from exporter.status.expectations import Expectations
from exporter.status.expected_views import ExpectationView, MissingDay
from exporter.status.model import State
from tests.status.examples import ALL, EVERYTHING, EXPECTING, NOW, SETTINGS, by_ids, day, known, observed, weekly

if TYPE_CHECKING:
    from exporter.status.model import StatusInput

IOS = Dimensions(os="iOS")


def missing(status: StatusInput) -> dict[int, str]:
    """The state of each missing day, by days ago."""
    return {(day(0) - each.play_date).days: each.state for each in Expectations(status).missing("main", ALL)}


def test_nothing_is_missing_if_yesterday_or_the_day_before_is_settled() -> None:
    for newest in (1, 2):
        status = observed(*weekly({"a": (1, 1, 1, 1)}, newest=newest), queries=[EXPECTING])
        assert missing(status) == {}
        assert Expectations(status).of_query(EXPECTING) == (ExpectationView(day(newest), 1, ()),)


def test_the_nearest_of_the_two_days_is_named() -> None:
    yesterday = weekly({"a": (1, 1, 1, 1)})

    assert missing(observed(queries=[EXPECTING])) == dict.fromkeys((1, 2, 8, 9), "unanswered")
    assert missing(observed(*yesterday[1:], queries=[EXPECTING])) == {1: "unanswered"}
    assert missing(observed(known(9, {"a": 1}), known(10, {"a": 1}), queries=[EXPECTING])) == {
        2: "unanswered",
        3: "unanswered",
    }
    assert missing(observed(*yesterday, queries=[EVERYTHING])) == {}, "no plays are expected"


def test_before_yesterday_can_be_final_the_day_before_is_nearer() -> None:
    dawn = observed(*weekly({"a": (1, 1, 1, 1)})[1:], queries=[EXPECTING], now=NOW - 6 * 3600)

    assert missing(dawn) == {3: "unanswered", 10: "unanswered"}


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (known(1, {"a": 1}, settled=False), State.UNSETTLED),
        (known(1, {}, settled=False, ready=False), State.NOT_READY),
        (replace(known(1, {"a": 1}), listed=None), State.UNANSWERED),
    ],
)
def test_the_state_of_a_missing_day(data: SliceData, state: State) -> None:
    assert missing(observed(data, *weekly({"a": (1, 1, 1, 1)})[1:], queries=[EXPECTING])) == {1: state}


@pytest.mark.parametrize(
    ("query", "data", "state"),
    [
        (by_ids("a"), known(1, {"a": 1}, settled=False), State.UNSETTLED),
        (by_ids("b"), replace(known(1, {"a": 1}), listed=None), State.UNANSWERED),
        (replace(EVERYTHING, media=Top(1, Measure.PLAYS)), replace(known(1, {"a": 1}), listed=None), State.UNANSWERED),
        (
            replace(EVERYTHING, media=Top(1, Measure.PLAYS)),
            replace(known(1, {"a": 1}), listed=None, rankings={Measure.PLAYS: Ranking(1, ("a",), Freshness(NOW))}),
            State.UNSETTLED,
        ),
    ],
)
def test_only_wanted_media_count(query: object, data: SliceData, state: State) -> None:
    expecting = replace(query, expected=True)  # type: ignore[type-var]
    days = weekly({"a": (1, 1, 1, 1), "b": (1, 1, 1, 1)})[1:]

    assert missing(observed(data, *days, queries=[expecting])) == {1: state}  # type: ignore[list-item]


def test_the_earliest_end_is_named_while_it_is_in_the_future() -> None:
    late = replace(SETTINGS, settle_after=61 * 3600.0)
    days = weekly({"a": (1, 1, 1, 1)}, newest=2)[1:]

    status = observed(*days, queries=[EXPECTING], settings=late)

    assert Expectations(status).missing("main", ALL) == (MissingDay(day(2), State.UNANSWERED, NOW + 3600),)


def test_an_old_settled_day_is_shown_with_what_a_newer_one_needs() -> None:
    status = observed(*weekly({"a": (1, 1, 1, 1)}, newest=4), queries=[EXPECTING])

    (view,) = Expectations(status).of_query(EXPECTING)

    assert view.play_date == day(4)
    assert [each.play_date for each in view.missing] == [day(1), day(2), day(8), day(9)]


def test_combinations_on_the_same_day_are_counted_together() -> None:
    query = replace(EXPECTING, dimensions=(ALL, IOS, Dimensions(os="Android"), Dimensions(os="Linux")))
    status = observed(
        *weekly({"a": (1, 1, 1, 1)}, newest=2),
        *weekly({"a": (1, 1, 1, 1)}, newest=1, dimensions=IOS),
        queries=[query],
    )

    views = Expectations(status).of_query(query)

    assert [(view.play_date, view.combinations, len(view.missing)) for view in views] == [
        (day(1), 1, 0),
        (day(2), 1, 0),
        (None, 2, 4),
    ]
    assert Expectations(status).of_query(replace(query, expected=False)) == ()


def test_a_search_that_has_found_no_media_is_no_reason_for_a_missing_day() -> None:
    queries = [EXPECTING, replace(by_ids(), name="search", expected=True)]
    days = weekly({"a": (1, 1, 1, 1)})
    unsettled = known(1, {"a": 1}, settled=False)

    assert missing(observed(*days, queries=queries)) == {}
    assert missing(observed(unsettled, *days[1:], queries=queries)) == {1: "unsettled"}
