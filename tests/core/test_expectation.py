from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.expectation import (
    DAYS_KEPT,
    DAYS_OF_NEW,
    DAYS_USED,
    expected_plays,
    has_dropped,
    is_new,
    loss_order,
    lost_plays,
    usual_step,
)

counts = st.integers(0, 2**53) | st.floats(0, 2**53)
no_counts = st.sampled_from([None, math.nan, math.inf, -1, -0.5])
other_days = st.dictionaries(st.integers(0, 30).filter(lambda ago: ago not in DAYS_USED), counts | no_counts)


@pytest.mark.parametrize(
    ("before", "week", "step_from", "expected"),
    [
        (100, 120, 100, 100),  # last week's rise is not expected
        (100, 60, 120, 50),  # last week's fall is
        (100, 40, 60, 40),  # more than a week before is not
        (100, 40, 40, 40),
        (100, 0, 0, 0),  # a new media has no week before
        (100, 30, 0, 30),
        (10, 30, 0, 10),
        (0, 50, 50, 0),
        (0, 0, 0, 0),
    ],
)
def test_the_expected_plays(before: float, week: float, step_from: float, expected: float) -> None:
    assert expected_plays({2: before, 8: week, 9: step_from}) == expected


@given(before=counts, week=counts, step_from=counts)
def test_an_expectation_is_neither_negative_nor_nan_nor_above_a_day_before(
    before: float, week: float, step_from: float
) -> None:
    expected = expected_plays({2: before, 8: week, 9: step_from})

    assert expected is not None
    assert 0 <= expected <= min(before, week)


@given(before=counts, week=counts, step_from=counts, others=other_days)
def test_no_other_day_matters(before: float, week: float, step_from: float, others: dict[int, float | None]) -> None:
    used: dict[int, float | None] = {2: before, 8: week, 9: step_from}

    assert expected_plays({**others, **used}) == expected_plays(used)


@given(
    known=st.fixed_dictionaries(dict.fromkeys(DAYS_USED, counts)),
    ago=st.sampled_from([2, 8]),
    unknown=no_counts,
    others=other_days,
    left_out=st.booleans(),
)
def test_without_a_day_that_is_needed_there_is_no_expectation(
    known: dict[int, float | None],
    ago: int,
    unknown: float | None,
    others: dict[int, float | None],
    *,
    left_out: bool,
) -> None:
    plays = {**others, **known, ago: unknown}
    if left_out:
        del plays[ago]

    assert expected_plays(plays) is None


@given(before=counts, week=counts, unknown=no_counts)
def test_without_the_step_of_last_week_the_lesser_of_the_two_days_is_expected(
    before: float, week: float, unknown: float | None
) -> None:
    assert expected_plays({2: before, 8: week, 9: unknown}) == expected_plays({2: before, 8: week}) == min(before, week)


@given(before=counts, week=counts, step_from=counts, more=counts)
def test_more_plays_on_the_day_before_or_a_week_before_never_lower_the_expectation(
    before: float, week: float, step_from: float, more: float
) -> None:
    expected = expected_plays({2: before, 8: week, 9: step_from})

    for higher in (
        {2: before + more, 8: week, 9: step_from},
        {2: before, 8: week + more, 9: step_from},
    ):
        assert (expected_plays(higher) or 0) >= (expected or 0)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((900, 900, 900), 720),
        ((900, 1000, 1000), 648),  # it keeps losing as many
        ((800, 1000, 2000), 320),  # or as many as the day before that
        ((1000, 500, 800), 250),  # a rise is not expected to stay
        ((1000, 500, 100), 80),
        ((1, 1, 1), 0.8),
    ],
)
@pytest.mark.parametrize("week_before", [{}, {8: 0}, {8: None, 9: 0}, {8: 0, 9: 0}])
def test_plays_of_a_new_video_are_expected_from_three_days_and_the_usual_step(
    known: tuple[float, ...], expected: float, week_before: dict[int, float | None]
) -> None:
    plays = dict(zip(DAYS_OF_NEW, known, strict=True)) | week_before

    assert is_new(plays)
    assert expected_plays(plays, 0.8) == pytest.approx(expected)


@given(
    known=st.fixed_dictionaries(dict.fromkeys(DAYS_OF_NEW, counts.filter(bool))),
    ago=st.sampled_from(DAYS_OF_NEW),
    unknown=no_counts | st.just(0),
    week=st.sampled_from([None, 0]),
)
def test_of_a_new_video_nothing_is_expected_unless_it_was_played_on_three_days(
    known: dict[int, float | None], ago: int, unknown: float | None, week: float | None
) -> None:
    assert not expected_plays({**known, ago: unknown, 8: week}, 0.8)
    assert not expected_plays({**known, 8: week}, None)


@given(
    known=st.fixed_dictionaries(dict.fromkeys(DAYS_OF_NEW, counts.filter(bool))),
    step=st.floats(0, 1),
    others=other_days,
)
def test_of_a_new_video_never_more_is_expected_than_it_had(
    known: dict[int, float | None], step: float, others: dict[int, float | None]
) -> None:
    expected = expected_plays({**others, **known}, step)

    assert 0 <= (expected or 0) <= min(count for count in known.values() if count)


@pytest.mark.parametrize("week_before", [{8: 10}, {8: 10, 9: 0}, {8: 0, 9: 10}, {9: 10}])
def test_a_video_that_was_played_a_week_before_is_not_new(week_before: dict[int, float | None]) -> None:
    plays = dict.fromkeys(DAYS_OF_NEW, 1000) | week_before

    assert not is_new(plays)
    assert expected_plays(plays, 0.8) == expected_plays(plays)


@given(before=counts.filter(bool), week=counts, step_from=counts, step=st.floats(0, 1), more=st.tuples(counts, counts))
def test_the_usual_step_is_for_new_videos_only(
    before: float, week: float, step_from: float, step: float, more: tuple[float, float]
) -> None:
    plays: dict[int, float | None] = {2: before, 3: more[0], 4: more[1], 8: week, 9: step_from}

    if not is_new(plays):
        assert expected_plays(plays, step) == expected_plays(plays)


@pytest.mark.parametrize(
    ("weekdays", "step"),
    [
        ([(100, 20), (100, 30), (100, 40), (50, 25), (1000, 900)], 0.4),
        ([(100, 120)] * 5, 1),  # a rise is not expected
        ([(100, 0)] * 5, 0),
        ([(100, 20)] * 4, None),
        ([(100, 20)] * 4 + [(49, 40)], None),
        ([(100, 20)] * 4 + [(None, 40), (100, None), (math.nan, 40), (100, math.inf), (100, -1)], None),
        ([], None),
    ],
)
def test_the_usual_step_is_that_of_the_median_media(
    weekdays: list[tuple[float | None, float | None]], step: float | None
) -> None:
    assert usual_step(weekdays) == step


def test_the_days_kept_serve_yesterday_and_while_it_is_not_settled_the_day_before() -> None:
    assert DAYS_KEPT == (1, 2, 3, 8, 9, 10)


whole_plays = st.integers(0, 2**53)
expectations = st.none() | st.floats(0, 2**53)


@pytest.mark.parametrize(
    ("plays", "expected", "lost", "dropped"),
    [
        (49, 100, 51, True),
        (50, 100, 50, False),
        (0, 99.9, 99.9, False),
        (0, 100, 100, True),
        (120, 100, -20, False),
        (0, 0, 0, False),
        (7, None, None, False),
    ],
)
def test_lost_plays_and_drops(plays: float, expected: float | None, lost: float | None, *, dropped: bool) -> None:
    assert lost_plays(plays, expected) == lost
    assert has_dropped(plays, expected) is dropped


@given(st.lists(st.tuples(whole_plays, expectations), max_size=20))
def test_most_lost_plays_are_first_and_media_without_an_expectation_last(rows: list[tuple[int, float | None]]) -> None:
    losses = [(plays, lost_plays(plays, expected)) for plays, expected in rows]

    ordered = sorted(losses, key=lambda row: loss_order(*row))

    known = [lost for _, lost in ordered if lost is not None]
    assert known == sorted(known, reverse=True)
    assert [plays for plays, lost in ordered[len(known) :] if lost is None] == sorted(
        (plays for plays, lost in losses if lost is None), reverse=True
    )


def test_equal_losses_are_ordered_by_plays_and_names() -> None:
    rows = [(5, 10, "b"), (9, 10, "c"), (5, 10, "a")]

    assert sorted(rows, key=lambda row: loss_order(*row)) == [(9, 10, "c"), (5, 10, "a"), (5, 10, "b")]
