"""Two rows of one media: whether they say the same, and which of them counts."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from exporter.core.model import PlayRow

# The service rounds averages and sums of seconds to two digits; the last one depends on the order it adds them up in.
_LAST_DIGIT: Final = 0.011


def same_number(one: float | None, other: float | None) -> bool:
    """Whether two numbers are equal, or fractions that differ in the last digit only."""
    if one == other:
        return True
    if one is None or other is None or (one % 1 == 0 and other % 1 == 0):
        return False
    return isclose(one, other, rel_tol=1e-9, abs_tol=_LAST_DIGIT)


def same_row(one: PlayRow | None, other: PlayRow | None) -> bool:
    """Whether the numbers of a media are the same; a new title is no change."""
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
    """Which of two rows of a media counts: the one with more plays, and never a sum, which the service did not give."""
    return max(one, other, key=_weight)


def _weight(row: PlayRow) -> tuple[float | str, ...]:
    numbers = (
        row.plays,
        row.viewers,
        row.play_duration,
        row.plays_per_viewer,
        row.play_duration_per_viewer,
        row.media_duration,
    )
    return (*(-1 if number is None else number for number in numbers), row.title or "")
