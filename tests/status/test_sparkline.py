from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.status.sparkline import HEIGHT, WIDTH, sparkline


def test_consecutive_days_are_a_line_from_zero_to_the_largest() -> None:
    spark = sparkline((0, 10, 5))

    assert spark.path == "M3 25L60 3L117 14"
    assert (spark.last, spark.least, spark.most, spark.unknown) == ((117, 14), 0, 10, 0)


def test_an_unknown_day_is_a_gap_and_never_a_zero() -> None:
    spark = sparkline((10, 10, None, 10, 10))

    assert spark.path == "M3 3L31.5 3M88.5 3L117 3"
    assert spark.unknown == 1


def test_a_single_day_is_a_point() -> None:
    assert sparkline((None, 4, None)).path == "M60 3h0"
    assert sparkline((None, 4, None)).last is None


@pytest.mark.parametrize("values", [(), (None,) * 30])
def test_without_known_days_nothing_is_drawn(values: tuple[None, ...]) -> None:
    spark = sparkline(values)

    assert (spark.path, spark.last, spark.least, spark.most, spark.unknown) == ("", None, None, None, len(values))


def test_zero_plays_are_drawn_at_the_bottom() -> None:
    assert sparkline((0, 0)).path == "M3 25L117 25"


@given(st.lists(st.none() | st.integers() | st.floats(allow_nan=False), max_size=30))
def test_the_line_stays_within_the_chart_for_any_values(values: list[float | None]) -> None:
    path = sparkline(values).path

    for across, up in re.findall(r"[ML]([\d.]+) ([\d.]+)", path):
        assert 0 <= float(across) <= WIDTH
        assert 0 <= float(up) <= HEIGHT
    assert re.fullmatch(r"([ML][\d.]+ [\d.]+(h0)?)*", path)
    assert len(re.findall("[ML]", path)) == sum(value is not None for value in values)
