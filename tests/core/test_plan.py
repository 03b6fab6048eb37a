from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core import play_dates
from exporter.core.merge import merge_observation
from exporter.core.model import Dimensions, Measure, Slice
from exporter.core.observation import SliceObservation
from exporter.core.plan import (
    CLOCK_CORRECTION,
    FetchPlan,
    covers,
    pages_of,
    plan_fetch,
    requested_slices,
    slices,
    unpublished_slices,
)
from exporter.core.play_dates import Settlement
from tests.core.fake_service import (
    ALL,
    NOON,
    YESTERDAY,
    everything,
    ids,
    query,
    row,
    top,
)

if TYPE_CHECKING:
    from exporter.core.model import Media, Query, SliceData

SLICE = Slice("main", ALL, YESTERDAY)
ANCIENT, FRESH, LATER = NOON - 1, NOON, NOON + 10**9


def known(*observations: SliceObservation) -> SliceData:
    data = None
    for observation in observations:
        data = merge_observation(data, SLICE, observation, Settlement())
    assert data
    return data


@pytest.mark.parametrize(("rows", "pages"), [(0, 0), (1, 1), (100, 1), (101, 2), (10_000, 100)])
def test_a_page_has_a_hundred_rows(rows: int, pages: int) -> None:
    assert pages_of(rows) == pages


def test_a_query_covers_every_day_with_every_filter_newest_day_first() -> None:
    web = Dimensions(terminal_type="Web")

    found = slices(query(everything, dimensions=(ALL, web), days_ago=(9, 0)), NOON)

    assert found == (
        Slice("main", ALL, date(2024, 3, 24)),
        Slice("main", web, date(2024, 3, 24)),
        Slice("main", ALL, date(2024, 3, 15)),
        Slice("main", web, date(2024, 3, 15)),
    )


def test_a_query_covers_its_own_slices_only() -> None:
    web = Dimensions(terminal_type="Web")
    configured = query(everything, dimensions=(ALL, web), days_ago=(9, 0))

    assert all(covers(configured, slice_, NOON) for slice_ in slices(configured, NOON))
    assert not covers(configured, Slice("other", ALL, date(2024, 3, 24)), NOON)
    assert not covers(configured, Slice("main", Dimensions(os="iOS"), date(2024, 3, 24)), NOON)
    assert not covers(configured, Slice("main", ALL, YESTERDAY), NOON)


def test_expected_plays_need_more_days_than_are_published_the_nearest_first() -> None:
    configured = query(everything, days_ago=(1, 8), expected=True)

    more = unpublished_slices(configured, NOON)

    assert [play_dates.days_ago(NOON, slice_.play_date) for slice_ in more] == [2, 3, 9, 10]
    assert all(covers(configured, slice_, NOON) for slice_ in more)
    assert set(more).isdisjoint(slices(configured, NOON))
    assert set(more).isdisjoint(requested_slices([configured], NOON))


@pytest.mark.parametrize("configured", [query(everything), query(everything, days_ago=(0, 2), expected=True)])
def test_no_other_days_are_polled_without_expected_plays_or_without_yesterday(configured: Query) -> None:
    assert unpublished_slices(configured, NOON) == ()


def test_wants_of_several_queries_are_grouped_by_slice() -> None:
    queries = (query(ids("a"), "1"), query(everything, "2", days_ago=(1, 2)), query(top(5), "3", account="other"))

    assert requested_slices(queries, NOON) == {
        SLICE: (ids("a"), everything),
        Slice("main", ALL, date(2024, 3, 22)): (everything,),
        Slice("other", ALL, YESTERDAY): (top(5),),
    }


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        (ids("b", "a"), FetchPlan(ids=frozenset({"a", "b"}), naive_calls=2)),
        (top(150, Measure.PLAY_DURATION), FetchPlan(tops={Measure.PLAY_DURATION: 150}, naive_calls=2)),
        (everything, FetchPlan(everything=True, naive_calls=1)),
    ],
)
def test_unknown_data_is_needed(want: Media, expected: FetchPlan) -> None:
    assert plan_fetch(want, None, ANCIENT, LATER) == expected
    assert expected


SWEPT = SliceObservation(NOON, {f"m{i}": row(f"m{i}", i) for i in range(120)}, listed=True, total=120)
RANKED = SliceObservation(NOON, {"a": row("a"), "b": row("b")}, tops=((top(2), ("a", "b")),), total=120)


@pytest.mark.parametrize(
    ("want", "observation", "expected"),
    [
        (ids("a"), SliceObservation(NOON, {"a": None}), FetchPlan(saved_shared=1)),
        (
            ids("a", "b"),
            SliceObservation(NOON, {"a": row("a")}),
            FetchPlan(ids=frozenset({"b"}), naive_calls=1, saved_shared=1),
        ),
        (ids("a", "m1"), SWEPT, FetchPlan(saved_shared=2)),
        (everything, SWEPT, FetchPlan(saved_shared=2)),
        (top(101), SWEPT, FetchPlan(saved_shared=2)),
        (top(2), RANKED, FetchPlan(saved_shared=1)),
        (top(3), RANKED, FetchPlan(tops={Measure.PLAYS: 3}, naive_calls=1)),
        (top(2, Measure.PLAY_DURATION), RANKED, FetchPlan(tops={Measure.PLAY_DURATION: 2}, naive_calls=1)),
        (everything, RANKED, FetchPlan(everything=True, naive_calls=2)),
    ],
)
def test_recently_observed_data_is_not_needed_again(
    want: Media, observation: SliceObservation, expected: FetchPlan
) -> None:
    assert plan_fetch(want, known(observation), ANCIENT, LATER) == expected
    assert not plan_fetch(want, known(observation), FRESH, LATER).saved_shared


def test_data_observed_before_the_clock_was_set_back_is_needed_again() -> None:
    observed = known(SliceObservation(NOON, {"a": None}))

    assert not plan_fetch(ids("a"), observed, ANCIENT, NOON - CLOCK_CORRECTION)
    assert plan_fetch(ids("a"), observed, ANCIENT, NOON - CLOCK_CORRECTION - 1) == FetchPlan(
        ids=frozenset({"a"}), naive_calls=1
    )


def test_settled_data_is_never_needed_again() -> None:
    settled = known(*(SliceObservation(NOON + i, SWEPT.rows, listed=True, total=120) for i in range(3)))

    assert plan_fetch(everything, settled, NOON + 10**9, LATER) == FetchPlan(saved_settled=2)
    assert plan_fetch(top(7), settled, NOON + 10**9, LATER) == FetchPlan(saved_settled=1)
    assert plan_fetch(ids("m1", "unplayed"), settled, NOON + 10**9, LATER) == FetchPlan(saved_settled=2)


def test_plans_are_combined() -> None:
    first = FetchPlan(ids=frozenset({"a"}), tops={Measure.PLAYS: 5}, naive_calls=2, saved_shared=1)
    second = FetchPlan(
        ids=frozenset({"b"}), tops={Measure.PLAYS: 9, Measure.PLAY_DURATION: 1}, everything=True, naive_calls=7
    )

    assert first | second == FetchPlan(
        frozenset({"a", "b"}),
        {Measure.PLAYS: 9, Measure.PLAY_DURATION: 1},
        everything=True,
        naive_calls=2,
        saved_shared=1,
    )


@given(
    wanted_ids=st.sets(st.text("abc", min_size=1, max_size=2), min_size=1),
    answered=st.sets(st.text("abc", min_size=1)),
)
def test_every_wanted_media_is_needed_or_known(wanted_ids: set[str], answered: set[str]) -> None:
    found = plan_fetch(ids(*wanted_ids), known(SliceObservation(NOON, dict.fromkeys(answered))), ANCIENT, LATER)

    assert found.ids == wanted_ids - answered
    assert found.saved_shared == len(wanted_ids & answered)
