from __future__ import annotations

from datetime import date

import pytest

from exporter.core import play_dates
from exporter.core.earlier_rows import NO_EARLIER_ROWS, EarlierRows, earlier_rows, value
from exporter.core.model import Dimensions, Freshness, Measure, MediaRecord, PlayRow, Slice, SliceData
from exporter.core.play_dates import Settlement
from tests.core.fake_service import row

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
