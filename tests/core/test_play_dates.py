from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core import play_dates
from exporter.core.play_dates import Settlement

INSTANTS = st.floats(min_value=0, max_value=4e9, allow_nan=False)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2024-03-22T15:59:59.999+00:00", date(2024, 3, 22)),
        ("2024-03-22T16:00:00+00:00", date(2024, 3, 23)),
        ("2024-12-31T16:00:00+00:00", date(2025, 1, 1)),
        ("2024-02-29T00:00:00+08:00", date(2024, 2, 29)),
    ],
)
def test_a_play_date_starts_at_16_00_utc(instant: str, expected: date) -> None:
    assert play_dates.today(at(instant)) == expected


def test_the_start_of_a_day_is_midnight_in_utc_plus_8() -> None:
    assert play_dates.start(date(2024, 3, 22)) == at("2024-03-22T00:00:00+08:00")


@given(INSTANTS)
def test_a_timestamp_is_within_its_play_date(now: float) -> None:
    assert play_dates.start(play_dates.today(now)) <= now < play_dates.next_midnight(now)
    assert play_dates.next_midnight(now) - play_dates.start(play_dates.today(now)) == 86_400
    assert 0 < play_dates.rest_of_day(now) <= 1
    assert play_dates.rest_of_day(play_dates.next_midnight(now)) == 1


@given(INSTANTS, st.integers(0, 30))
def test_days_ago_and_play_date_are_inverse_functions(now: float, ago: int) -> None:
    assert play_dates.days_ago(now, play_dates.play_date(now, ago)) == ago


@given(INSTANTS)
def test_the_process_time_zone_does_not_matter(now: float) -> None:
    assert play_dates.today(now) == (datetime.fromtimestamp(now, UTC) + timedelta(hours=8)).date()


@pytest.mark.parametrize(
    ("instant", "expected"),
    [("2024-03-23T08:59:59+08:00", False), ("2024-03-23T09:00:00+08:00", True), ("2024-03-22T10:00:00+08:00", False)],
)
def test_a_day_can_be_final_from_09_00_of_the_next_day_on(instant: str, *, expected: bool) -> None:
    assert Settlement().possible(date(2024, 3, 22), at(instant)) is expected
