from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core import play_dates
from exporter.core.merge import mark_not_ready, merge_observation
from exporter.core.model import PlayRow, Slice, SliceData
from exporter.core.observation import SliceObservation
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


def merged(*observations: SliceObservation, slice_: Slice = SLICE, settlement: Settlement = SETTLEMENT) -> SliceData:
    data: SliceData | None = None
    for observation in observations:
        data = merge_observation(data, slice_, observation, settlement)
    assert data
    return data


def observed(at: float, plays: float | None = 5, **changed: object) -> SliceObservation:
    rows = {"a": None if plays is None else row("a", plays)}
    return replace(SliceObservation(at, rows), **changed)  # type: ignore[arg-type]


def settled(data: SliceData, media_id: str = "a") -> bool:
    record = data.record(media_id)
    assert record
    return record.freshness.settled


def test_media_that_were_not_observed_stay_unchanged() -> None:
    data = merged(SliceObservation(1, {"a": row("a", 1), "b": row("b", 2)}), SliceObservation(2, {"b": row("b", 3)}))

    assert {m: (a.row.plays, a.freshness.observed_at) for m, a in data.records.items() if a.row} == {
        "a": (1, 1),
        "b": (3, 2),
    }


def test_a_complete_listing_replaces_everything() -> None:
    data = merged(
        SliceObservation(1, {"a": row("a"), "gone": row("gone")}),
        SliceObservation(2, {"a": row("a")}, listed=True, total=1),
    )

    gone = data.record("gone")
    assert gone is not None
    assert (gone.row, gone.freshness.observed_at) == (None, 2)


def test_only_a_whole_observation_sets_updated_at() -> None:
    data = merged(observed(1), observed(2, is_whole=False))

    assert (data.updated_at, data.last_response_at) == (1, 2)


def test_the_total_is_kept_until_another_is_observed() -> None:
    data = merged(SliceObservation(1, total=7), SliceObservation(2))

    assert (data.total, data.total_at) == (7, 1)


@pytest.mark.parametrize(
    ("plays", "expected"),
    [((5, 5, 5), True), ((5, 5), False), ((5, 6, 6), False), ((5, 6, 6, 6), True), ((None, None, None), True)],
)
def test_a_day_settles_after_two_more_unchanged_polls(plays: tuple[float | None, ...], *, expected: bool) -> None:
    assert settled(merged(*(observed(NOON + i, p) for i, p in enumerate(plays)))) is expected


def test_a_change_of_settled_data_resets_the_confirmations() -> None:
    stories = [5, 5, 5, 6, 6, 6]
    data = [merged(*(observed(NOON + i, p) for i, p in enumerate(stories[:n]))) for n in range(1, 7)]

    assert [settled(d) for d in data] == [False, False, True, False, False, True]


def test_polls_before_a_day_can_be_final_confirm_nothing() -> None:
    today = Slice("main", ALL, TODAY)
    data = merged(*(observed(NOON + i) for i in range(10)), slice_=today)

    assert not settled(data)
    assert data.records["a"].freshness.confirmations == 0


CERTAIN = play_dates.start(YESTERDAY + timedelta(days=1)) + SETTLEMENT.after


@pytest.mark.parametrize(("at", "expected"), [(CERTAIN - 1, False), (CERTAIN, True), (CERTAIN + 20 * 86_400, True)])
def test_once_the_next_day_can_be_final_too_one_poll_settles_a_day(at: float, *, expected: bool) -> None:
    rows = {"a": row("a"), "unplayed": None}
    data = merged(SliceObservation(at, rows, listed=True, tops=((top(1), ("a",)),), total=1))

    assert data.listed
    assert settled(data) is settled(data, "unplayed") is settled(data, "never requested") is expected
    assert data.listed.settled is data.rankings[top(1).by].freshness.settled is expected


@pytest.mark.parametrize(("before", "expected"), [(-1, True), (0, False)])
def test_provisional_numbers_are_no_reason_to_look_again(before: float, *, expected: bool) -> None:
    final_from = play_dates.start(YESTERDAY) + SETTLEMENT.after

    assert settled(merged(observed(final_from + before, 5), observed(CERTAIN, 6))) is expected


@pytest.mark.parametrize(("plays", "expected"), [((5, 6), False), ((5, 6, 6), True), ((5, 5), True)])
def test_numbers_that_changed_since_the_day_could_be_final_need_another_poll(
    plays: tuple[float, ...], *, expected: bool
) -> None:
    first, *later = plays

    assert settled(merged(observed(NOON, first), *(observed(CERTAIN + i, p) for i, p in enumerate(later)))) is expected


@pytest.mark.parametrize(("polls", "expected"), [(1, False), (2, False), (3, True)])
def test_a_response_without_any_plays_is_confirmed_like_that_of_a_new_day(polls: int, *, expected: bool) -> None:
    assert settled(merged(*(observed(CERTAIN + i, None) for i in range(polls)))) is expected


def test_a_video_without_plays_settles_with_one_poll_where_others_have_plays() -> None:
    data = merged(observed(CERTAIN), SliceObservation(CERTAIN + 1, {"b": None}))

    assert settled(data, "b")


@pytest.mark.parametrize("first", [observed(NOON, 5), observed(NOON, None)], ids=["other plays", "none"])
def test_one_poll_settles_no_listing_in_which_a_video_has_changed_late(first: SliceObservation) -> None:
    early, after = replace(SLICE, play_date=TODAY - timedelta(days=8)), NOON + 900

    listing = SliceObservation(after, {"a": row("a", 6), "b": row("b", 1)}, listed=True, total=2)
    data = merged(first, listing, slice_=early)
    assert data.listed is not None
    assert (data.listed.settled, settled(data), settled(data, "b")) == (False, False, True)

    data = merged(first, listing, replace(listing, at=after + 900), slice_=early)
    assert data.listed is not None
    assert (data.listed.settled, settled(data)) == (True, True)


def test_one_poll_settles_no_listing_that_lacks_a_video_seen_since_the_day_could_be_final() -> None:
    early = replace(SLICE, play_date=TODAY - timedelta(days=8))

    data = merged(
        observed(NOON, 5), SliceObservation(NOON + 900, {"b": row("b", 1)}, listed=True, total=1), slice_=early
    )

    assert data.listed is not None
    assert not data.listed.settled


def test_one_poll_settles_no_ranking_of_a_day_that_was_empty_after_it_could_be_final() -> None:
    """The ranking was settled and its media not: neither was requested again, and the slice was never settled."""
    early = replace(SLICE, play_date=TODAY - timedelta(days=8))
    ranking = SliceObservation(NOON + 900, {"a": row("a", 5)}, tops=((top(1), ("a",)),), total=2)

    data = merged(SliceObservation(NOON, listed=True, total=0), ranking, slice_=early)
    assert (data.rankings[top(1).by].freshness.settled, settled(data)) == (False, False)

    data = merged(
        SliceObservation(NOON, listed=True, total=0), ranking, replace(ranking, at=NOON + 1_800), slice_=early
    )
    assert (data.rankings[top(1).by].freshness.settled, settled(data)) == (True, True)


def test_one_poll_settles_no_ranking_that_is_truncated_or_may_lack_a_video() -> None:
    first = top(2)
    whole = SliceObservation(CERTAIN, {m: row(m, 5) for m in "ab"}, tops=((first, ("a", "b")),))

    for observation in (
        replace(whole, truncated=True),
        replace(whole, uncertain_rankings=frozenset({first.by})),
    ):
        data = merged(observation)
        assert (data.rankings[first.by].freshness.settled, settled(data)) == (False, True)


def test_a_new_title_does_not_unsettle_a_number() -> None:
    data = merged(
        observed(NOON), observed(NOON + 1), SliceObservation(NOON + 2, {"a": replace(row("a", 5), title="new")})
    )

    assert settled(data)


def test_polls_for_other_media_confirm_nothing() -> None:
    data = merged(observed(NOON), *(SliceObservation(NOON + i, {"b": row("b")}) for i in range(1, 5)))

    assert (settled(data), settled(data, "b")) == (False, True)


def test_a_listing_settles_when_none_of_its_rows_change() -> None:
    def listing(at: float, **plays: float) -> SliceObservation:
        return SliceObservation(at, {m: row(m, p) for m, p in plays.items()}, listed=True, total=len(plays))

    same = merged(*(listing(NOON + i, a=1, b=2) for i in range(3)))
    grown = merged(listing(NOON, a=1), listing(NOON + 1, a=1), listing(NOON + 2, a=1, b=1))
    shrunk = merged(listing(NOON, a=1, b=1), listing(NOON + 1, a=1, b=1), listing(NOON + 2, a=1))

    assert same.listed
    assert same.listed.settled
    assert settled(same, "a video without plays")
    for changed in (grown, shrunk):
        assert changed.listed
        assert not changed.listed.settled
        assert settled(changed)


def test_a_zero_is_confirmed_by_a_listing_without_the_media() -> None:
    data = merged(
        observed(NOON, None), observed(NOON + 1, None), SliceObservation(NOON + 2, {"b": row("b")}, listed=True)
    )

    assert settled(data)


def test_a_ranking_settles_when_its_media_and_numbers_stay() -> None:
    def ranking(at: float, *order: str) -> SliceObservation:
        return SliceObservation(at, {m: row(m, 5) for m in order}, tops=((top(2), order),))

    same = merged(*(ranking(NOON + i, "a", "b") for i in range(3))).rankings[top(2).by]
    turned = merged(*(ranking(NOON + i, "a", "b") for i in range(3)), ranking(NOON + 3, "b", "a")).rankings[top(2).by]

    assert (same.media_ids, same.freshness.settled) == (("a", "b"), True)
    assert (turned.media_ids, turned.freshness.settled) == (("b", "a"), True), "they are as good as each other"


def test_a_ranking_does_not_settle_while_a_video_may_be_missing() -> None:
    first = top(2)
    observation = SliceObservation(NOON, {m: row(m, 5) for m in "ab"}, tops=((first, ("a", "b")),))
    uncertain_rankings = [replace(observation, at=NOON + i, uncertain_rankings=frozenset({first.by})) for i in range(5)]

    assert merged(*uncertain_rankings).rankings[first.by].freshness.confirmations == 0


def test_a_truncated_top_is_continued_by_the_previous_ranking() -> None:
    def ranking(at: float, *order: str, truncated: bool = False) -> SliceObservation:
        return SliceObservation(at, {m: row(m, 5) for m in order}, tops=((top(3), order),), truncated=truncated)

    data = merged(*(ranking(NOON + i, "a", "b", "c") for i in range(3)), ranking(NOON + 3, "d", "b", truncated=True))

    found = data.rankings[top(3).by]
    assert (found.media_ids, found.freshness.confirmations) == (("d", "b", "a"), 0)
    shorter = merged(ranking(NOON, "a", "b", "c"), ranking(NOON + 1, "d", "b"))
    assert shorter.rankings[top(3).by].media_ids == ("d", "b"), "nothing is missing"


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
def test_a_fraction_that_differs_in_the_last_decimal_is_unchanged(
    was: dict[str, float], now: dict[str, float], *, same: bool
) -> None:
    rows = [row("a", **(was if turn % 2 else now)) for turn in range(4)]
    data = merged(*(SliceObservation(NOON + i, {"a": each}) for i, each in enumerate(rows)))

    assert data.records["a"].row == rows[-1], "the last row is kept"
    assert data.records["a"].freshness.settled is same


def test_what_is_settled_and_observed_again_is_as_old_as_when_it_settled() -> None:
    again = SliceObservation(NOON + 9, {"a": row("a", 10)}, listed=True)
    data = merged(*(SliceObservation(NOON + i, {"a": row("a", 10)}) for i in range(3)), again)

    assert data.records["a"].freshness.observed_at == NOON + 2
    assert data.listed is not None
    assert data.listed.observed_at == NOON + 9


def test_a_video_without_a_record_is_no_zero_if_a_row_had_no_media_id() -> None:
    def listing(unattributed_rows: int) -> SliceObservation:
        return SliceObservation(NOON, {"a": row("a")}, listed=True, total=1, unattributed_rows=unattributed_rows)

    assert merged(listing(1)).record("b") is None
    assert merged(listing(1), listing(0)).record("b") is not None
    assert merged(listing(1), observed(NOON + 1)).record("b") is None, "other calls say nothing about it"


def test_not_ready_keeps_all_data_and_ends_with_the_next_observation() -> None:
    data = mark_not_ready(merged(observed(1)), SLICE, 2)

    assert (data.ready, data.last_response_at, data.updated_at, dict(data.records)) == (
        False,
        2,
        1,
        dict(merged(observed(1)).records),
    )
    assert merge_observation(data, SLICE, observed(3), SETTLEMENT).ready


@given(st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 2)), min_size=1, max_size=8), st.integers(0, 3))
def test_settled_requires_the_configured_number_of_unchanged_polls(
    polls: list[tuple[bool, int | None]], unchanged: int
) -> None:
    observations = [observed(NOON + i, p, listed=listed) for i, (listed, p) in enumerate(polls)]
    data = merged(*observations, settlement=Settlement(unchanged=unchanged))

    last = [p for _, p in polls]
    run = next((i for i, p in enumerate(reversed(last)) if p != last[-1]), len(last))
    assert settled(data) is (run - 1 >= unchanged)
    record = data.record("a")
    assert record
    assert (record.row.plays if isinstance(record.row, PlayRow) else None) == last[-1]


def test_an_equal_row_stays_the_same_object() -> None:
    first = merged(SliceObservation(1, {"a": row("a", 1), "b": row("b", 2), "c": row("c", 3, title="old")}))
    again = merge_observation(
        first, SLICE, SliceObservation(2, {"a": row("a", 1), "b": row("b", 9), "c": row("c", 3)}), SETTLEMENT
    )

    same = {media_id: again.records[media_id].row is first.records[media_id].row for media_id in "abc"}

    assert same == {"a": True, "b": False, "c": False}
    assert [again.records[media_id].row for media_id in "bc"] == [row("b", 9), row("c", 3)]


def test_media_with_equal_freshness_share_the_object() -> None:
    data = merged(SliceObservation(NOON, {"a": row("a"), "b": row("b"), "c": row("c")}, listed=True))

    assert len({id(record.freshness) for record in data.records.values()}) == 1


def test_a_zero_has_the_time_of_its_request() -> None:
    data = merged(SliceObservation(1, {"unplayed": None}), SliceObservation(2, {"a": row("a")}))

    zero = data.record("unplayed")
    assert zero is not None
    assert (zero.row, zero.freshness.observed_at) == (None, 1)


@pytest.mark.parametrize(("last", "confirmations"), [(5, 2), (6, 0)])
def test_a_ranking_with_a_changed_number_is_not_confirmed(last: float, confirmations: int) -> None:
    first = top(1)
    observations = [
        SliceObservation(NOON + i, {"a": row("a", plays)}, tops=((first, ("a",)),))
        for i, plays in enumerate((5, 5, last))
    ]

    assert merged(*observations).rankings[first.by].freshness.confirmations == confirmations
