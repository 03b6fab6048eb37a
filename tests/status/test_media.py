from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.model import Dimensions, Freshness, Measure, MediaRecord, Ranking, Top
from exporter.status.filters import Filters
from exporter.status.media import comparisons, history, media
from tests.status.examples import (
    EVERYTHING,
    NOW,
    by_ids,
    day,
    known,
    observed,
)

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
    ("before", "now", "dropped"), [(100, 49, True), (100, 50, False), (99, 0, False), (100, 0, True), (0, 0, False)]
)
def test_more_than_half_of_at_least_a_hundred_plays_is_a_drop(before: int, now: int, *, dropped: bool) -> None:
    days = observed(known(1, {"a": now, "b": 1}), known(8, {"a": before, "b": 1}))

    assert [view.media_id for view in media(days, Filters(media_change="dropped"))] == (["a"] if dropped else [])
    (compared,) = comparisons(days)
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

    told = history(days, view)

    assert len(told) == 30
    assert {30 - place: plays for place, plays in enumerate(told) if plays is not None} == {30: 300, 4: 0, 1: 10}


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
    data = replace(data, answers={**data.answers, **known(1, {"a": None}).answers}, total=1)

    assert isinstance(data.answers["a"], MediaRecord)
    assert media(observed(data), Filters()) == []
