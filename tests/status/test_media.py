from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from exporter.core.media_details import AccountMetadata, MediaDetails
from exporter.core.model import Dimensions, Freshness, Measure, MediaRecord, PlayRow, Ranking, Top
from exporter.status import media as module
from exporter.status.expectations import Expectations
from exporter.status.filters import Filters
from exporter.status.media import comparisons, with_details
from tests.status.examples import (
    EVERYTHING,
    EXPECTING,
    NOW,
    by_ids,
    day,
    known,
    observed,
    weekly,
)

if TYPE_CHECKING:
    from exporter.status.model import StatusInput
    from exporter.status.views import MediaView


def media(status: StatusInput, choice: Filters) -> list[MediaView]:
    return module.media(status, choice, Expectations(status))


WEEK = (known(1, {"a": 50, "b": 300}), known(8, {"a": 100, "b": 200}))


def test_yesterday_is_compared_with_the_week_before_when_both_are_settled() -> None:
    first, second = media(observed(*WEEK, known(2, {"a": 1}), known(9, {"a": 1})), Filters())

    assert (first.media_id, first.title, first.play_date) == ("b", "title of b", day(1))
    assert (first.plays, first.plays_week_before, first.change) == (300, 200, 0.5)
    assert (second.plays, second.plays_week_before, second.change) == (50, 100, -0.5)


@pytest.mark.parametrize("unsettled", [1, 8])
def test_while_one_of_them_is_not_settled_the_day_before_is_compared(unsettled: int) -> None:
    days = {1: 1.0, 2: 20.0, 8: 2.0, 9: 10.0}
    slices = [known(ago, {"a": plays}, settled=ago != unsettled) for ago, plays in days.items()]

    (view,) = media(observed(*slices), Filters())

    assert (view.play_date, view.plays, view.plays_week_before, view.change) == (day(2), 20, 10, 1.0)


def test_unsettled_days_are_not_compared() -> None:
    (view,) = media(observed(known(1, {"a": 1}, settled=False), known(8, {"a": 100})), Filters())

    assert (view.play_date, view.plays, view.plays_week_before, view.change) == (day(1), 1, None, None)


def test_today_is_shown_only_if_no_other_day_is_known() -> None:
    today = known(0, {"a": 7}, settled=False)

    assert [view.plays for view in media(observed(today), Filters())] == [7]
    assert [view.plays for view in media(observed(today, known(2, {"a": 9})), Filters())] == [9]


def test_a_missing_media_has_zero_plays_only_if_the_day_is_complete() -> None:
    before = known(8, {"a": 100, "gone": 40})

    whole = {view.media_id: view for view in media(observed(known(1, {"a": 90}), before), Filters())}
    first_only = {view.media_id: view for view in media(observed(known(1, {"a": 90}, total=500), before), Filters())}

    assert (whole["gone"].plays, whole["gone"].change) == (0, -1.0)
    assert (first_only["gone"].plays, first_only["gone"].change) == (None, None)


def test_there_is_no_relative_change_from_zero() -> None:
    one = media(observed(known(1, {"a": 5}), known(8, {"a": 0})), Filters())[0]

    assert (one.plays_week_before, one.change) == (0, None)


def test_the_total_is_shown_unless_dimensions_are_filtered() -> None:
    ios = Dimensions(os="iOS")
    query = replace(EVERYTHING, dimensions=(ios, Dimensions()))
    parts = observed(known(1, {"a": 100}), known(1, {"a": 30}, dimensions=ios), queries=(query,))

    assert [(view.os, view.plays) for view in media(parts, Filters())] == [("all", 100)]
    assert [(view.os, view.plays) for view in media(parts, Filters(os="iOS"))] == [("iOS", 30)]
    assert media(parts, Filters(region="cn-beijing")) == []


def test_filters_keep_only_matching_media() -> None:
    ids = by_ids("a", "c")
    both = observed(*WEEK, queries=(EVERYTHING, ids))

    def shown(choice: Filters) -> set[str]:
        return {view.media_id for view in media(both, choice)}

    assert shown(Filters()) == {"a", "b", "c"}
    assert shown(Filters(query="ids")) == {"a", "c"}
    assert shown(Filters(media="TITLE OF B")) == {"b"}
    assert shown(Filters(media="c")) == {"c"}
    assert shown(Filters(account="main", query="q")) == {"a", "b", "c"}
    assert [(view.play_date, view.plays) for view in media(both, Filters(days_ago=8, media="a"))] == [(day(8), 100)]
    assert shown(Filters(days_ago=2)) == set()


def test_a_top_query_shows_the_media_of_its_ranking() -> None:
    top = replace(EVERYTHING, name="top", media=Top(1, Measure.PLAYS))
    yesterday = replace(WEEK[0], rankings={Measure.PLAYS: Ranking(1, ("b",), Freshness(NOW, settled=True))})

    views = media(observed(yesterday, queries=(EVERYTHING, top)), Filters(query="top"))

    assert [view.media_id for view in views] == ["b"]


def test_the_sort_parameter_sets_the_order() -> None:
    days = observed(known(1, {"z": 100, "b": 50, "c": 10, "d": 1}), known(8, {"z": 100, "b": 100, "c": 1}))

    def order(media_sort: str) -> str:
        return "".join(view.media_id for view in media(days, Filters(media_sort=media_sort)))

    assert order("plays") == "zbcd"
    assert order("fall") == "bzcd"
    assert order("rise") == "czbd"
    assert order("title") == "bcdz"


def test_the_largest_fall_is_the_one_that_lost_most_plays() -> None:
    days = observed(
        known(1, {"small": 0, "large": 1961, "up": 900, "new": 70}),
        known(8, {"small": 25, "large": 18_722, "up": 100, "new": 0}),
    )

    falls = media(days, Filters(media_sort="fall"))

    assert [(view.media_id, view.difference) for view in falls] == [
        ("large", -16_761),
        ("small", -25),
        ("new", 70),
        ("up", 800),
    ]
    assert [view.media_id for view in media(days, Filters(media_sort="rise"))] == ["up", "new", "small", "large"]


@pytest.mark.parametrize(
    ("expected", "now", "dropped"), [(100, 49, True), (100, 50, False), (99, 0, False), (100, 0, True), (0, 0, False)]
)
def test_less_than_half_of_at_least_a_hundred_expected_plays_is_a_drop(
    expected: int, now: int, *, dropped: bool
) -> None:
    days = observed(*weekly({"a": (now, *3 * (expected,)), "b": (1, 1, 1, 1)}), queries=(EXPECTING,))

    assert [view.media_id for view in media(days, Filters(media_change="dropped"))] == (["a"] if dropped else [])


def test_a_media_that_ages_has_not_dropped() -> None:
    """It has a quarter of its plays of a week before, and half of those of the day before, as last week."""
    days = observed(*weekly({"ages": (250, 500, 1000, 2000)}), queries=(EXPECTING,))

    (view,) = media(days, Filters())

    assert (view.plays, view.expected, view.lost, view.plays_week_before) == (250, 250, 0, 1000)
    assert media(days, Filters(media_change="dropped")) == []


def test_plays_are_those_of_the_last_settled_day_and_most_lost_plays_are_first() -> None:
    plays: dict[str, tuple[float | None, ...]] = {
        "small": (0, 30, 30, 30),
        "large": (100, 900, 900, 900),
        "new": (40, 30, None, None),
        "rose": (70, 50, 50, 50),
    }
    data = [*weekly(plays, newest=2), known(1, dict.fromkeys(plays, 5.0), settled=False)]

    views = media(observed(*data, queries=(EXPECTING,)), Filters(media_sort="lost"))

    assert [(view.media_id, view.plays, view.expected, view.lost) for view in views] == [
        ("large", 100, 900, 800),
        ("small", 0, 30, 30),
        ("rose", 70, 50, -20),
        ("new", 40, 0, -40),
    ]
    assert {view.play_date for view in views} == {day(2)}


def test_the_days_that_an_expectation_lacks_are_named() -> None:
    ids = replace(by_ids("old", "added"), expected=True)
    days = weekly({"old": (9, 9, 9, 9)}, total=None)
    ids_only = [
        replace(data, listed=None, records={**data.records, **(known(1, {"added": 3}).records if ago == 1 else {})})
        for ago, data in zip((1, 2, 8, 9), days, strict=True)
    ]
    status = observed(*ids_only, queries=(ids,))

    views = [with_details(status, view, Expectations(status)) for view in media(status, Filters(media_sort="lost"))]

    assert [(view.media_id, view.plays, view.lost, view.missing_days) for view in views] == [
        ("old", 9, 0, ()),
        ("added", 3, None, (day(2), day(8))),
    ]


def test_media_without_an_expectation_are_shown_beside_those_with_one() -> None:
    """Another query, with `expected: false`, wants them on the same days."""
    ids = replace(by_ids("a"), expected=True)
    days = weekly({"a": (10, 20, 20, 20), "b": (7, 8, 9, 10)})

    views = media(observed(*days, queries=(EVERYTHING, ids)), Filters(media_sort="lost"))

    assert [(view.media_id, view.plays, view.lost, view.play_date) for view in views] == [
        ("a", 10, 10, day(1)),
        ("b", 7, None, day(1)),
    ]


def test_a_media_that_left_a_top_query_with_no_plays_is_shown_by_it() -> None:
    top = replace(EXPECTING, name="top", media=Top(1, Measure.PLAYS))
    days = weekly({"gone": (None, 90, 90, 90), "other": (50, 40, 40, 40)})

    views = media(observed(*days, queries=(top,)), Filters(query="top", media_sort="lost"))

    assert [(view.media_id, view.plays, view.expected) for view in views] == [("gone", 0, 90), ("other", 50, 40)]


@pytest.mark.parametrize(("given", "shown"), [("Spring gala", "Spring gala"), (" \u3000", None), (None, None)])
def test_the_title_that_a_search_found_is_shown_of_a_video_without_one(given: str | None, shown: str | None) -> None:
    untitled = {"a": MediaRecord(PlayRow("a", plays=5), Freshness(NOW, settled=True))}
    status = observed(replace(known(1, {}), records=untitled))
    metadata = {"main": AccountMetadata(details={"a": MediaDetails("a", title=given)})}

    (view,) = media(replace(status, snapshot=replace(status.snapshot, metadata=metadata)), Filters())

    assert view.title == shown


def test_another_day_has_no_expected_plays() -> None:
    days = observed(*weekly({"a": (10, 20, 20, 20)}), queries=(EXPECTING,))

    assert [(view.plays, view.expected) for view in media(days, Filters(days_ago=1))] == [(10, 20)]
    assert [(view.plays, view.expected) for view in media(days, Filters(days_ago=2))] == [(20, None)]


def test_a_week_before_that_is_not_published_is_known() -> None:
    yesterday = replace(EXPECTING, days_ago=(1,))

    (view,) = media(observed(*weekly({"a": (10, 20, 30, 30)}), queries=(yesterday,)), Filters())

    assert (view.plays, view.plays_week_before, view.difference) == (10, 30, -20)


@pytest.mark.parametrize(
    ("before", "now", "dropped"), [(100, 49, True), (100, 50, False), (99, 0, False), (100, 0, True), (0, 0, False)]
)
def test_comparisons_count_media_with_less_than_half_of_the_plays_a_week_before(
    before: int, now: int, *, dropped: bool
) -> None:
    (compared,) = comparisons(observed(known(1, {"a": now, "b": 1}), known(8, {"a": before, "b": 1})))

    assert (compared.play_date, compared.week_before, compared.media, compared.dropped) == (day(1), day(8), 2, dropped)


def test_rows_that_are_not_settled_are_not_compared() -> None:
    (compared,) = comparisons(observed(known(1, {"a": 1}, settled=False), known(8, {"a": 1000})))

    assert (compared.play_date, compared.week_before, compared.media, compared.dropped) == (None, None, 0, 0)
    assert comparisons(observed()) == ()


def test_history_covers_the_thirty_days_before_today_with_gaps_for_unknown_days() -> None:
    stale = known(3, {"a": 2}, settled=False, at=NOW - 3 * 86_400)
    unplayed = known(4, {"b": 1})
    silent = known(5, {"a": None})
    days = observed(known(0, {"a": 1}), known(1, {"a": 10}), known(30, {"a": 300}), stale, unplayed, silent)
    (view,) = (view for view in media(days, Filters()) if view.media_id == "a")

    history = with_details(days, view, Expectations(days)).history

    assert len(history) == 30
    assert {30 - place: plays for place, plays in enumerate(history) if plays is not None} == {30: 300, 4: 0, 1: 10}


@pytest.mark.parametrize("plays", [10**400, 1e308, float("inf")])
def test_a_number_too_large_for_a_float_is_shown(plays: float) -> None:
    (view,) = media(observed(known(1, {"a": plays}), known(8, {"a": 1})), Filters())

    assert view.change is not None
    assert view.change > 1e300


def test_media_of_other_accounts_are_filtered_out() -> None:
    other = replace(EVERYTHING, name="other", account="other")
    two = observed(known(1, {"a": 1}), known(1, {"x": 1}, account="other"), queries=(EVERYTHING, other))

    assert [view.media_id for view in media(two, Filters(account="other"))] == ["x"]
    assert {view.account for view in media(two, Filters())} == {"main", "other"}


def test_a_row_without_plays_is_not_a_zero() -> None:
    data = known(1, {})
    data = replace(data, records={**data.records, **known(1, {"a": None}).records}, total=1)

    assert isinstance(data.records["a"], MediaRecord)
    assert media(observed(data), Filters()) == []
