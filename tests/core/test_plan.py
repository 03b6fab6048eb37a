from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.merge import Lesson, learn
from exporter.core.model import Dimensions, Measure, Slice
from exporter.core.plan import CORRECTION, Need, looks_at, need, slices, wanted
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
    from exporter.core.model import Media, SliceData

SLICE = Slice("main", ALL, YESTERDAY)
ANCIENT, FRESH, LATER = NOON - 1, NOON, NOON + 10**9


def known(*lessons: Lesson) -> SliceData:
    data = None
    for lesson in lessons:
        data = learn(data, SLICE, lesson, Settlement())
    assert data
    return data


def test_a_query_looks_at_every_day_with_every_filter_newest_day_first() -> None:
    web = Dimensions(terminal_type="Web")

    found = slices(query(everything, dimensions=(ALL, web), days_ago=(9, 0)), NOON)

    assert found == (
        Slice("main", ALL, date(2024, 3, 24)),
        Slice("main", web, date(2024, 3, 24)),
        Slice("main", ALL, date(2024, 3, 15)),
        Slice("main", web, date(2024, 3, 15)),
    )


def test_a_query_looks_at_its_own_slices_and_no_other() -> None:
    web = Dimensions(terminal_type="Web")
    asked = query(everything, dimensions=(ALL, web), days_ago=(9, 0))

    assert all(looks_at(asked, slice_, NOON) for slice_ in slices(asked, NOON))
    assert not looks_at(asked, Slice("other", ALL, date(2024, 3, 24)), NOON)
    assert not looks_at(asked, Slice("main", Dimensions(os="iOS"), date(2024, 3, 24)), NOON)
    assert not looks_at(asked, Slice("main", ALL, YESTERDAY), NOON)


def test_what_several_queries_want_of_a_slice_stands_together() -> None:
    queries = (query(ids("a"), "1"), query(everything, "2", days_ago=(1, 2)), query(top(5), "3", account="other"))

    assert wanted(queries, NOON) == {
        SLICE: (ids("a"), everything),
        Slice("main", ALL, date(2024, 3, 22)): (everything,),
        Slice("other", ALL, YESTERDAY): (top(5),),
    }


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        (ids("b", "a"), Need(ids=frozenset({"a", "b"}), naive=2)),
        (top(150, Measure.PLAY_DURATION), Need(tops={Measure.PLAY_DURATION: 150}, naive=2)),
        (everything, Need(everything=True, naive=1)),
    ],
)
def test_what_is_not_known_is_needed(want: Media, expected: Need) -> None:
    assert need(want, None, ANCIENT, LATER) == expected
    assert expected


SWEPT = Lesson(NOON, {f"m{i}": row(f"m{i}", i) for i in range(120)}, swept=True, total=120)
RANKED = Lesson(NOON, {"a": row("a"), "b": row("b")}, tops=((top(2), ("a", "b")),), total=120)


@pytest.mark.parametrize(
    ("want", "lesson", "expected"),
    [
        (ids("a"), Lesson(NOON, {"a": None}), Need(saved_shared=1)),
        (ids("a", "b"), Lesson(NOON, {"a": row("a")}), Need(ids=frozenset({"b"}), naive=1, saved_shared=1)),
        (ids("a", "m1"), SWEPT, Need(saved_shared=2)),
        (everything, SWEPT, Need(saved_shared=2)),
        (top(101), SWEPT, Need(saved_shared=2)),
        (top(2), RANKED, Need(saved_shared=1)),
        (top(3), RANKED, Need(tops={Measure.PLAYS: 3}, naive=1)),
        (top(2, Measure.PLAY_DURATION), RANKED, Need(tops={Measure.PLAY_DURATION: 2}, naive=1)),
        (everything, RANKED, Need(everything=True, naive=2)),
    ],
)
def test_what_somebody_asked_lately_is_not_needed_again(want: Media, lesson: Lesson, expected: Need) -> None:
    assert need(want, known(lesson), ANCIENT, LATER) == expected
    assert not need(want, known(lesson), FRESH, LATER).saved_shared


def test_what_was_told_before_the_clock_was_set_back_may_be_old() -> None:
    told = known(Lesson(NOON, {"a": None}))

    assert not need(ids("a"), told, ANCIENT, NOON - CORRECTION)
    assert need(ids("a"), told, ANCIENT, NOON - CORRECTION - 1) == Need(ids=frozenset({"a"}), naive=1)


def test_what_is_settled_is_never_needed_again() -> None:
    settled = known(*(Lesson(NOON + i, SWEPT.rows, swept=True, total=120) for i in range(3)))

    assert need(everything, settled, NOON + 10**9, LATER) == Need(saved_settled=2)
    assert need(top(7), settled, NOON + 10**9, LATER) == Need(saved_settled=1)
    assert need(ids("m1", "nobody played"), settled, NOON + 10**9, LATER) == Need(saved_settled=2)


def test_what_two_need_is_needed_once() -> None:
    first = Need(ids=frozenset({"a"}), tops={Measure.PLAYS: 5}, naive=2, saved_shared=1)
    second = Need(ids=frozenset({"b"}), tops={Measure.PLAYS: 9, Measure.PLAY_DURATION: 1}, everything=True, naive=7)

    assert first | second == Need(
        frozenset({"a", "b"}), {Measure.PLAYS: 9, Measure.PLAY_DURATION: 1}, everything=True, naive=2, saved_shared=1
    )


@given(
    wanted_ids=st.sets(st.text("abc", min_size=1, max_size=2), min_size=1),
    answered=st.sets(st.text("abc", min_size=1)),
)
def test_every_wanted_media_is_needed_or_known(wanted_ids: set[str], answered: set[str]) -> None:
    found = need(ids(*wanted_ids), known(Lesson(NOON, dict.fromkeys(answered))), ANCIENT, LATER)

    assert found.ids == wanted_ids - answered
    assert found.saved_shared == len(wanted_ids & answered)
