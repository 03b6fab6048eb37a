from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.days import Settlement
from exporter.core.learn import Lesson, learn
from exporter.core.model import Dimensions, Measure, Slice
from exporter.core.plan import AskMedia, Plan, Sweep, plan, slices, wanted
from tests.core.world import ALL, NOON, YESTERDAY, everything, ids, query, row, top

if TYPE_CHECKING:
    from exporter.core.model import Media, SliceData

SLICE = Slice("main", ALL, YESTERDAY)
ANCIENT, FRESH = NOON - 1, NOON


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


def test_what_several_queries_want_of_a_slice_stands_together() -> None:
    queries = (query(ids("a"), "1"), query(everything, "2", days_ago=(1, 2)), query(top(5), "3", account="other"))

    assert wanted(queries, NOON) == {
        SLICE: (ids("a"), everything),
        Slice("main", ALL, date(2024, 3, 22)): (everything,),
        Slice("other", ALL, YESTERDAY): (top(5),),
    }


@pytest.mark.parametrize(
    ("want", "asks"),
    [
        (ids("b", "a"), (AskMedia("a"), AskMedia("b"))),
        (top(5, Measure.PLAY_DURATION), (Sweep(Measure.PLAY_DURATION, 5),)),
        (everything, (Sweep(Measure.PLAYS, None),)),
    ],
)
def test_what_is_not_known_is_asked_for(want: Media, asks: tuple[AskMedia | Sweep, ...]) -> None:
    assert plan(want, None, ANCIENT) == Plan(asks)


SWEPT = Lesson(NOON, {f"m{i}": row(f"m{i}", i) for i in range(120)}, swept=True, total=120)
RANKED = Lesson(NOON, {"a": row("a"), "b": row("b")}, top=top(2), total=120)


@pytest.mark.parametrize(
    ("want", "lesson", "expected"),
    [
        (ids("a"), Lesson(NOON, {"a": None}), Plan(saved_shared=1)),
        (ids("a", "b"), Lesson(NOON, {"a": row("a")}), Plan((AskMedia("b"),), saved_shared=1)),
        (ids("a", "m1"), SWEPT, Plan(saved_shared=2)),
        (everything, SWEPT, Plan(saved_shared=2)),
        (top(101), SWEPT, Plan(saved_shared=2)),
        (top(2), RANKED, Plan(saved_shared=1)),
        (top(3), RANKED, Plan((Sweep(Measure.PLAYS, 3),))),
        (top(2, Measure.PLAY_DURATION), RANKED, Plan((Sweep(Measure.PLAY_DURATION, 2),))),
        (everything, RANKED, Plan((Sweep(Measure.PLAYS, None),))),
    ],
)
def test_what_somebody_asked_lately_is_not_asked_again(want: Media, lesson: Lesson, expected: Plan) -> None:
    assert plan(want, known(lesson), ANCIENT) == expected
    assert not plan(want, known(lesson), FRESH).saved_shared


def test_what_is_settled_is_never_asked_again() -> None:
    settled = known(*(Lesson(NOON + i, SWEPT.rows, swept=True, total=120) for i in range(3)))

    assert plan(everything, settled, NOON + 10**9) == Plan(saved_settled=2)
    assert plan(top(7), settled, NOON + 10**9) == Plan(saved_settled=1)
    assert plan(ids("m1", "nobody played"), settled, NOON + 10**9) == Plan(saved_settled=2)


@given(
    wanted_ids=st.sets(st.text("abc", min_size=1, max_size=2), min_size=1), answered=st.sets(st.text("abc", min_size=1))
)
def test_every_wanted_media_is_asked_for_or_known_and_none_twice(wanted_ids: set[str], answered: set[str]) -> None:
    made = plan(ids(*wanted_ids), known(Lesson(NOON, dict.fromkeys(answered))), ANCIENT)

    asked = [ask.media_id for ask in made.asks if isinstance(ask, AskMedia)]
    assert sorted(asked) == sorted(wanted_ids - answered)
    assert made.saved_shared == len(wanted_ids & answered)
