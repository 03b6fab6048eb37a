"""Compares two rows of one media: whether they are equal, and which one to use."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exporter.core.model import PlayRow

# The service rounds averages and sums of seconds to two decimals; the last one depends on the order of its additions.
_LAST_DIGIT: Final = 0.011


def same_number(one: float | None, other: float | None) -> bool:
    """Whether two numbers are equal, or are fractions that differ in the last decimal only."""
    if one == other:
        return True
    if one is None or other is None or (one % 1 == 0 and other % 1 == 0):
        return False
    return isclose(one, other, rel_tol=1e-9, abs_tol=_LAST_DIGIT)


def same_row(one: PlayRow | None, other: PlayRow | None) -> bool:
    """Whether two rows have the same numbers; title and length are not compared."""
    if one is None or other is None:
        return one is other
    return (
        one.plays == other.plays
        and one.viewers == other.viewers
        and same_number(one.play_duration, other.play_duration)
        and same_number(one.plays_per_viewer, other.plays_per_viewer)
        and same_number(one.play_duration_per_viewer, other.play_duration_per_viewer)
    )


def preferred_row(one: PlayRow, other: PlayRow) -> PlayRow:
    """The row with more plays; never a sum of both, which is a number that the service did not return."""
    return max(one, other, key=_sort_key)


def _sort_key(row: PlayRow) -> tuple[float | str, ...]:
    numbers = (
        row.plays,
        row.viewers,
        row.play_duration,
        row.plays_per_viewer,
        row.play_duration_per_viewer,
        row.media_duration,
    )
    return (*(-1 if number is None else number for number in numbers), row.title or "")
