from __future__ import annotations

import pytest

from exporter.core.player_fields import DEFAULT_NAMES
from exporter.core.player_query import PlayerQuery, PlayerTarget, ago_label, calls_per_day, first_poll_calls, series

DAY = 86_400
HOUR = 3_600


def query(
    *, targets: int = 2, every: float = 300.0, interval: str = "5m", compare: tuple[int, ...] = (DAY, 7 * DAY)
) -> PlayerQuery:
    """Six metrics, which take two calls."""
    some = tuple(PlayerTarget("main", f"app-{number}", "web") for number in range(targets))
    return PlayerQuery("app", "main", some, every, interval, DEFAULT_NAMES, compare)


def test_an_age_is_a_label_in_days() -> None:
    assert [ago_label(ago) for ago in (0, DAY, 7 * DAY)] == ["", "1d", "7d"]


def test_the_first_poll_reads_the_newest_buckets_and_those_of_each_age() -> None:
    assert first_poll_calls(query()) == 2 * 2 * 3
    assert first_poll_calls(query(compare=())) == 2 * 2


@pytest.mark.parametrize(
    ("interval", "compare", "read_apart"),
    [
        ("1h", 3 * DAY - 6 * HOUR, True),  # with the margin of 6 hours as old as the first bucket of each poll
        ("1h", 3 * DAY - 6 * HOUR - 1, False),
        ("1d", 7 * DAY, False),
    ],
)
def test_ages_that_each_poll_reads_anyway_take_no_calls(interval: str, compare: int, *, read_apart: bool) -> None:
    assert first_poll_calls(query(interval=interval, compare=(compare,))) == 2 * 2 * (1 + read_apart)


def test_a_day_takes_its_polls_and_two_reads_of_each_chunk_of_each_age() -> None:
    assert calls_per_day(query(targets=1)) == 2 * (288 + 2 * 2 * 2)
    assert calls_per_day(query(targets=3, compare=(DAY,))) == 3 * 2 * (288 + 2 * 2)


def test_a_query_that_is_seldom_polled_reads_earlier_buckets_no_more_often() -> None:
    assert calls_per_day(query(targets=1, every=DAY / 3)) == 2 * (3 + 3 * 2)


def test_series_are_the_metrics_of_each_age_and_four_about_each_target() -> None:
    assert series(query()) == 2 * (6 * 3 + 4)
    assert series(query(targets=1, compare=())) == 6 + 4
