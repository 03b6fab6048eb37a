from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.merge import SliceObservation, mark_not_ready, merge_observation
from exporter.core.model import PlayRow, Slice, SliceData
from exporter.core.play_dates import Settlement
from tests.core.fake_service import (
    ALL,
    NOON,
    TODAY,
    YESTERDAY,
    row,
    top,
)

SLICE = Slice("main", ALL, YESTERDAY)
SETTLEMENT = Settlement()


def learnt(*lessons: SliceObservation, slice_: Slice = SLICE, settlement: Settlement = SETTLEMENT) -> SliceData:
    data: SliceData | None = None
    for observation in lessons:
        data = merge_observation(data, slice_, observation, settlement)
    assert data
    return data


def seen(at: float, plays: float | None = 5, **changed: object) -> SliceObservation:
    rows = {"a": None if plays is None else row("a", plays)}
    return replace(SliceObservation(at, rows), **changed)  # type: ignore[arg-type]


def settled(data: SliceData, media_id: str = "a") -> bool:
    answer = data.answer(media_id)
    assert answer
    return answer.freshness.settled


def test_what_is_not_answered_stays_as_it_was() -> None:
    data = learnt(SliceObservation(1, {"a": row("a", 1), "b": row("b", 2)}), SliceObservation(2, {"b": row("b", 3)}))

    assert {m: (a.row.plays, a.freshness.at) for m, a in data.answers.items() if a.row} == {"a": (1, 1), "b": (3, 2)}


def test_a_complete_sweep_replaces_everything() -> None:
    data = learnt(
        SliceObservation(1, {"a": row("a"), "gone": row("gone")}),
        SliceObservation(2, {"a": row("a")}, listed=True, total=1),
    )

    gone = data.answer("gone")
    assert gone is not None
    assert (gone.row, gone.freshness.at) == (None, 2)


def test_only_a_poll_that_got_everything_is_an_update() -> None:
    data = learnt(seen(1), seen(2, is_whole=False))

    assert (data.updated_at, data.last_response_at) == (1, 2)


def test_the_count_is_kept_until_another_is_told() -> None:
    data = learnt(SliceObservation(1, total=7), SliceObservation(2))

    assert (data.total, data.total_at) == (7, 1)


@pytest.mark.parametrize(
    ("plays", "expected"),
    [((5, 5, 5), True), ((5, 5), False), ((5, 6, 6), False), ((5, 6, 6, 6), True), ((None, None, None), True)],
)
def test_a_day_settles_once_two_more_polls_found_it_unchanged(
    plays: tuple[float | None, ...], *, expected: bool
) -> None:
    assert settled(learnt(*(seen(NOON + i, p) for i, p in enumerate(plays)))) is expected


def test_a_change_after_it_settled_starts_the_count_again() -> None:
    stories = [5, 5, 5, 6, 6, 6]
    data = [learnt(*(seen(NOON + i, p) for i, p in enumerate(stories[:n]))) for n in range(1, 7)]

    assert [settled(d) for d in data] == [False, False, True, False, False, True]


def test_polls_before_a_day_can_be_final_confirm_nothing() -> None:
    today = Slice("main", ALL, TODAY)
    data = learnt(*(seen(NOON + i) for i in range(10)), slice_=today)

    assert not settled(data)
    assert data.answers["a"].freshness.confirmations == 0


def test_a_new_title_does_not_unsettle_a_number() -> None:
    data = learnt(seen(NOON), seen(NOON + 1), SliceObservation(NOON + 2, {"a": replace(row("a", 5), title="new")}))

    assert settled(data)


def test_polls_for_other_media_confirm_nothing() -> None:
    data = learnt(seen(NOON), *(SliceObservation(NOON + i, {"b": row("b")}) for i in range(1, 5)))

    assert (settled(data), settled(data, "b")) == (False, True)


def test_a_sweep_settles_when_nothing_in_it_changes() -> None:
    def sweep(at: float, **plays: float) -> SliceObservation:
        return SliceObservation(at, {m: row(m, p) for m, p in plays.items()}, listed=True, total=len(plays))

    same = learnt(*(sweep(NOON + i, a=1, b=2) for i in range(3)))
    grown = learnt(sweep(NOON, a=1), sweep(NOON + 1, a=1), sweep(NOON + 2, a=1, b=1))
    shrunk = learnt(sweep(NOON, a=1, b=1), sweep(NOON + 1, a=1, b=1), sweep(NOON + 2, a=1))

    assert same.listed
    assert same.listed.settled
    assert settled(same, "a media without plays")
    for changed in (grown, shrunk):
        assert changed.listed
        assert not changed.listed.settled
        assert settled(changed)


def test_a_zero_that_was_asked_for_is_confirmed_by_a_sweep_without_it() -> None:
    data = learnt(seen(NOON, None), seen(NOON + 1, None), SliceObservation(NOON + 2, {"b": row("b")}, listed=True))

    assert settled(data)


def test_a_ranking_settles_when_its_order_and_numbers_stay() -> None:
    def ranking(at: float, *order: str) -> SliceObservation:
        return SliceObservation(at, {m: row(m, 5) for m in order}, tops=((top(2), order),))

    same = learnt(*(ranking(NOON + i, "a", "b") for i in range(3))).rankings[top(2).by]
    turned = learnt(*(ranking(NOON + i, "a", "b") for i in range(3)), ranking(NOON + 3, "b", "a")).rankings[top(2).by]

    assert (same.media_ids, same.freshness.settled) == (("a", "b"), True)
    assert (turned.media_ids, turned.freshness.settled) == (("b", "a"), True), "they are as good as each other"


def test_a_ranking_does_not_settle_while_one_that_belongs_there_may_be_missing() -> None:
    first = top(2)
    observation = SliceObservation(NOON, {m: row(m, 5) for m in "ab"}, tops=((first, ("a", "b")),))
    uncertain_rankings = [replace(observation, at=NOON + i, uncertain_rankings=frozenset({first.by})) for i in range(5)]

    assert learnt(*uncertain_rankings).rankings[first.by].freshness.confirmations == 0


def test_a_top_that_was_not_read_to_its_end_goes_on_as_it_was() -> None:
    def ranking(at: float, *order: str, truncated: bool = False) -> SliceObservation:
        return SliceObservation(at, {m: row(m, 5) for m in order}, tops=((top(3), order),), truncated=truncated)

    data = learnt(*(ranking(NOON + i, "a", "b", "c") for i in range(3)), ranking(NOON + 3, "d", "b", truncated=True))

    found = data.rankings[top(3).by]
    assert (found.media_ids, found.freshness.confirmations) == (("d", "b", "a"), 0)


@pytest.mark.parametrize(
    ("was", "now", "same"),
    [
        ({"plays_per_viewer": 1.33}, {"plays_per_viewer": 1.34}, True),
        ({"plays_per_viewer": 1.33}, {"plays_per_viewer": 1.36}, False),
        ({"play_duration": 0.1 + 0.2}, {"play_duration": 0.3}, True),
        ({"play_duration": 2400}, {"play_duration": 2401}, False),
        ({"play_duration": 2400.0}, {"play_duration": 2400}, True),
        ({"play_duration_per_viewer": None}, {"play_duration_per_viewer": 1.0}, False),
        ({"viewers": 5}, {"viewers": 6}, False),
    ],
)
def test_a_fraction_that_differs_in_its_last_digit_is_no_change(
    was: dict[str, float], now: dict[str, float], *, same: bool
) -> None:
    rows = [row("a", **(was if turn % 2 else now)) for turn in range(4)]
    data = learnt(*(SliceObservation(NOON + i, {"a": each}) for i, each in enumerate(rows)))

    assert data.answers["a"].row == rows[-1], "what was said last is shown"
    assert (data.answers["a"].freshness.confirmations == 3) is same


def test_a_media_without_an_answer_is_no_zero_where_a_row_was_nobodys() -> None:
    def sweep(unattributed_rows: int) -> SliceObservation:
        return SliceObservation(NOON, {"a": row("a")}, listed=True, total=1, unattributed_rows=unattributed_rows)

    assert learnt(sweep(1)).answer("b") is None
    assert learnt(sweep(1), sweep(0)).answer("b") is not None


def test_not_ready_loses_nothing_and_an_answer_ends_it() -> None:
    data = mark_not_ready(learnt(seen(1)), SLICE, 2)

    assert (data.ready, data.last_response_at, data.updated_at, dict(data.answers)) == (
        False,
        2,
        1,
        dict(learnt(seen(1)).answers),
    )
    assert merge_observation(data, SLICE, seen(3), SETTLEMENT).ready


@given(st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 2)), min_size=1, max_size=8), st.integers(0, 3))
def test_settled_means_found_unchanged_as_often_as_promised(
    polls: list[tuple[bool, int | None]], unchanged: int
) -> None:
    lessons = [seen(NOON + i, p, listed=listed) for i, (listed, p) in enumerate(polls)]
    data = learnt(*lessons, settlement=Settlement(unchanged=unchanged))

    last = [p for _, p in polls]
    run = next((i for i, p in enumerate(reversed(last)) if p != last[-1]), len(last))
    assert settled(data) is (run - 1 >= unchanged)
    answer = data.answer("a")
    assert answer
    assert (answer.row.plays if isinstance(answer.row, PlayRow) else None) == last[-1]


def test_what_is_told_again_as_it_was_is_kept_as_the_object_that_it_was() -> None:
    first = learnt(SliceObservation(1, {"a": row("a", 1), "b": row("b", 2), "c": row("c", 3, title="old")}))
    again = merge_observation(
        first, SLICE, SliceObservation(2, {"a": row("a", 1), "b": row("b", 9), "c": row("c", 3)}), SETTLEMENT
    )

    same = {media_id: again.answers[media_id].row is first.answers[media_id].row for media_id in "abc"}

    assert same == {"a": True, "b": False, "c": False}
    assert [again.answers[media_id].row for media_id in "bc"] == [row("b", 9), row("c", 3)]


def test_media_that_were_heard_alike_share_what_was_heard() -> None:
    data = learnt(SliceObservation(NOON, {"a": row("a"), "b": row("b"), "c": row("c")}, listed=True))

    assert len({id(answer.freshness) for answer in data.answers.values()}) == 1


def test_a_zero_is_as_old_as_the_question_it_answered() -> None:
    data = learnt(SliceObservation(1, {"nobody's": None}), SliceObservation(2, {"a": row("a")}))

    zero = data.answer("nobody's")
    assert zero is not None
    assert (zero.row, zero.freshness.at) == (None, 1)


@pytest.mark.parametrize(("last", "confirmations"), [(5, 2), (6, 0)])
def test_a_ranking_of_which_a_number_changed_is_not_found_as_it_was(last: float, confirmations: int) -> None:
    first = top(1)
    lessons = [
        SliceObservation(NOON + i, {"a": row("a", plays)}, tops=((first, ("a",)),))
        for i, plays in enumerate((5, 5, last))
    ]

    assert learnt(*lessons).rankings[first.by].freshness.confirmations == confirmations
