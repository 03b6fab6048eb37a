from __future__ import annotations

from datetime import date

import pytest

from exporter.core import play_dates
from exporter.core.listing import NO_EARLIER_ROWS, EarlierRows, Listing, earlier_rows, value
from exporter.core.model import Dimensions, Freshness, Measure, MediaRecord, Page, PlayRow, Slice, SliceData
from exporter.core.play_dates import Settlement
from tests.core.fake_service import row

PLAYS, RATIO = Measure.PLAYS, Measure.PLAYS_PER_VIEWER


def page(*rows: PlayRow, total: int | None, skipped: int = 0) -> Page:
    return Page(rows, total, "R", skipped)


def listing(*pages: Page, by: Measure = PLAYS, size: int = 2, earlier: EarlierRows = NO_EARLIER_ROWS) -> Listing:
    read = Listing(by, size, None, earlier)
    for each in pages:
        read.add(each)
    return read


def test_a_listing_is_consistent_before_its_first_page() -> None:
    assert listing().inconsistent is False


def test_only_a_reading_that_lacks_rows_is_repeated() -> None:
    read = Listing(PLAYS, 2, None)
    assert [read.add(page(row("a"), row("b"), total=3)), read.add(page(row("c"), total=3))] == [True, True]
    assert read.complete

    read = Listing(PLAYS, 2, None)
    assert [read.add(page(row("a"), row("b"), total=3)), read.add(page(row("a"), total=3))] == [True, False]


def test_rows_without_a_media_id_are_added_up() -> None:
    pages = page(row("a"), total=4, skipped=1), page(row("b"), total=4, skipped=1)
    assert (listing(*pages).skipped, listing(*pages).complete) == (2, True)


@pytest.mark.parametrize("repetitions", [1, 2])
def test_further_rows_of_a_video_on_one_page_count_each(repetitions: int) -> None:
    total = 2 + repetitions
    read = listing(page(row("a"), *[row("a")] * repetitions, row("b"), total=total), size=total)
    assert (read.doubled, read.complete, read.conflicts) == (repetitions, True, set())


@pytest.mark.parametrize("names", ["a", "ab"])
def test_media_with_the_same_two_rows_in_both_readings_count_each(names: str) -> None:
    first, second = ([row(name, plays=plays) for name in names] for plays in (10, 9))
    pages = page(*first, total=2 * len(names)), page(*second, total=2 * len(names))
    read = listing(*pages, *pages, size=len(names))
    assert (read.doubled, read.complete, read.conflicts) == (len(names), True, set(names))


def test_a_reading_with_every_row_needs_no_earlier_ones() -> None:
    read = listing(page(row("a"), row("b"), total=2), earlier=EarlierRows({"gone": row("gone")}, 2))
    assert (read.inconsistent, read.complete, set(read.all_rows)) == (False, True, {"a", "b"})


def test_earlier_rows_that_do_not_complete_a_listing_are_not_among_its_rows() -> None:
    pages = page(row("a"), row("b"), total=4), page(total=4)
    read = listing(*pages, earlier=EarlierRows({"c": row("c")}, 4))
    assert (read.complete, read.short_by, set(read.all_rows)) == (False, 1, {"a", "b"})

    read = listing(*pages, earlier=EarlierRows({"c": row("c"), "d": row("d")}, 4))
    assert (read.complete, read.short_by, set(read.all_rows)) == (True, 0, {"a", "b", "c", "d"})


def test_a_top_of_an_empty_listing_has_no_earlier_row() -> None:
    read = listing(page(total=1), earlier=EarlierRows({"x": row("x", plays=1)}, 1))
    assert read.first(1) == ({}, True)


def test_a_top_is_completed_by_earlier_rows_that_tie_with_its_last_one() -> None:
    earlier = EarlierRows({"x": row("x", plays=3)}, 4, {PLAYS: frozenset({"a", "x"})})
    read = listing(page(row("a", plays=5), row("b", plays=3), row("c", plays=1), total=4), size=3, earlier=earlier)
    assert list(read.first(2)[0]) == ["a", "x"]

    without_ranking = EarlierRows(earlier.rows, 4)
    read = listing(page(row("a", plays=5), row("b", plays=3), total=4), earlier=without_ranking)
    assert list(read.first(2)[0]) == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ((2.1, 2.3), "z"),  # not in the order that was requested: the service's order is kept, whatever it means
        ((2.4300004, 2.43), "y"),  # equal, since no number of the service has so many decimals: by media ID
        ((2.43, 2.4300004), "y"),
        ((2.43, 2.42), "z"),
    ],
)
def test_numbers_are_ordered_as_far_as_the_service_tells_them_apart(values: tuple[float, float], first: str) -> None:
    z, y = (row(name, plays_per_viewer=value) for name, value in zip("zy", values, strict=True))
    read = listing(page(z, y, total=2), by=RATIO, earlier=EarlierRows({"z": z}, 2))
    top, sure = read.first(1)
    assert (list(top), sure) == ([first], True)


PLAYS = Measure.PLAYS
DAY = date(2024, 3, 23)
SETTLEMENT = Settlement()
FINAL = play_dates.start(DAY) + SETTLEMENT.after


def known(**observed_at: float) -> SliceData:
    records = {name: MediaRecord(row(name), Freshness(at, 0, settled=False)) for name, at in observed_at.items()}
    return SliceData(Slice("main", Dimensions(), DAY), records, total=len(records))


def test_rows_count_from_when_the_day_could_be_final_and_not_before_since() -> None:
    data = known(before=FINAL - 1, then=FINAL, later=FINAL + 60)
    assert set(earlier_rows(data, SETTLEMENT, 0.0, FINAL + 120).rows) == {"then", "later"}
    assert set(earlier_rows(data, SETTLEMENT, FINAL + 60, FINAL + 120).rows) == {"later"}
    assert earlier_rows(data, SETTLEMENT, 0.0, FINAL - 1) is NO_EARLIER_ROWS
    assert earlier_rows(None, SETTLEMENT, 0.0, FINAL + 120) is NO_EARLIER_ROWS


@pytest.mark.parametrize(("total", "before"), [(None, None), (2, 3), (None, 2)])
def test_nothing_was_left_out_unless_both_totals_are_known_and_equal(total: int | None, before: int | None) -> None:
    earlier = EarlierRows({"a": row("a", plays=5)}, before)
    assert earlier.left_out(PLAYS, {}, total, [5.0]) == {}
    assert set(EarlierRows(earlier.rows, 2).left_out(PLAYS, {}, 2, [5.0])) == {"a"}


def test_a_row_without_the_number_ranks_as_zero() -> None:
    assert [value(each, PLAYS) for each in (PlayRow("a"), PlayRow("b", plays=0), PlayRow("c", plays=1))] == [0, 0, 1]
