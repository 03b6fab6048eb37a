"""The service's calendar, checked against instants that are written down and not computed."""

from datetime import UTC, date, datetime

import pytest

from exporter.simulator.calendar import day_at, start_of_day


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-03-16T15:59:59.999+00:00", date(2026, 3, 16)),
        ("2026-03-16T16:00:00+00:00", date(2026, 3, 17)),
        ("2026-03-17T00:00:00+08:00", date(2026, 3, 17)),
        ("2024-02-29T12:00:00+08:00", date(2024, 2, 29)),
        ("2025-12-31T16:00:00+00:00", date(2026, 1, 1)),
        ("1970-01-01T00:00:00+00:00", date(1970, 1, 1)),
    ],
)
def test_a_day_starts_at_midnight_of_utc_8(instant: str, day: date) -> None:
    """All year round: China has no daylight saving time."""
    assert day_at(datetime.fromisoformat(instant).timestamp()) == day


def test_days_ago_are_counted_in_calendar_days() -> None:
    """Over the end of a month, and at the last second of a day."""
    now = datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC).timestamp()
    assert [day_at(now, days_ago) for days_ago in (0, 1, 30)] == [
        date(2026, 3, 1),
        date(2026, 2, 28),
        date(2026, 1, 30),
    ]


@pytest.mark.parametrize("day", [date(1970, 1, 1), date(2024, 2, 29), date(2026, 7, 1)])
def test_the_start_of_a_day_is_its_first_second(day: date) -> None:
    """The second before belongs to the day before."""
    start = start_of_day(day)
    assert datetime.fromtimestamp(start, UTC).isoformat()[11:] == "16:00:00+00:00"
    assert day_at(start) == day
    assert day_at(start - 1) == day_at(start, 1) != day
