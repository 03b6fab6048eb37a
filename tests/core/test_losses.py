from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.losses import has_dropped, loss_order, lost_plays

counts = st.integers(0, 2**53)
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


@given(st.lists(st.tuples(counts, expectations), max_size=20))
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
