from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.core.model import PlayRow
from exporter.core.row_comparison import preferred_row, same_number, same_row

ROW = PlayRow("m1", "title", plays=10, viewers=5, play_duration=100.5, plays_per_viewer=2, media_duration=60)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (10, 10, True),
        (10, 11, False),
        (10, 10.01, True),  # one of them is a fraction
        (0.5, 0.51, True),
        (0.5, 0.52, False),
        (10**10, 10**10 + 1, False),  # counts are exact, however large
        (1e9 + 0.5, 1e9 + 1.25, True),  # a float has no more digits for it
        (1e9 + 0.5, 1e9 + 1.75, False),
        (None, None, True),
        (None, 0, False),
        (0.5, None, False),
    ],
)
def test_fractions_may_differ_in_the_last_decimal(one: float | None, other: float | None, *, same: bool) -> None:
    assert same_number(one, other) is same
    assert same_number(other, one) is same


def test_a_row_equals_no_missing_row() -> None:
    assert same_row(None, None)
    assert not same_row(ROW, None)
    assert not same_row(None, ROW)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"plays": None}, {"plays": 0}),
        ({"plays": None, "viewers": 5}, {"plays": 1, "viewers": 1}),
        ({"media_duration": None}, {"media_duration": 0.5}),
        ({"title": None}, {"title": "A"}),
        ({"title": "A"}, {"title": "B"}),
    ],
)
def test_of_two_rows_the_one_with_more_is_preferred_in_any_order(
    less: dict[str, object], more: dict[str, object]
) -> None:
    fewer, preferred = (replace(ROW, **fields) for fields in (less, more))  # type: ignore[arg-type]

    assert preferred_row(fewer, preferred) is preferred
    assert preferred_row(preferred, fewer) is preferred
