"""The fields of a row in the response, one line each, from which all lists of fields derive; compares rows.

The comparison of rows, the count of their series and the fast decoder name the fields themselves, for speed.
tests/core/test_fields.py fails if one of them, or any other place, lacks a field of this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose
from typing import Final

from exporter.core.model import PlayRow

# The service rounds averages and sums of seconds to two decimals; the last one depends on the order of its additions.
_LAST_DIGIT: Final = 0.011


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its attribute in PlayRow and its name in QoeInfoList.

    * `zero_when_unplayed`: 0, not None, for a video without plays; rows of played media always have the field.
    * `sortable`: the API can order rows by it; there is a Measure of the same name.
    * `seconds`: the unit is the second.
    """

    attribute: str
    wire_name: str
    zero_when_unplayed: bool = False
    sortable: bool = False
    seconds: bool = False


# In the order of PlayRow's attributes: first those of the media itself, then its plays on one day.
TEXTS: Final = (
    Field("media_id", "MediaId"),
    Field("title", "VideoTitle"),
)
MEDIA_NUMBERS: Final = (Field("media_duration", "VideoDuration", seconds=True),)
PLAY_NUMBERS: Final = (
    Field("viewers", "DAU", zero_when_unplayed=True),
    Field("plays", "PlaySuccessVv", zero_when_unplayed=True, sortable=True),
    Field("plays_per_viewer", "PlayPerVv", sortable=True),
    Field("play_duration", "PlayDuration", zero_when_unplayed=True, sortable=True, seconds=True),
    Field("play_duration_per_viewer", "PlayDurationPerUv", sortable=True, seconds=True),
)
NUMBERS: Final = (*MEDIA_NUMBERS, *PLAY_NUMBERS)
FIELDS: Final = (*TEXTS, *NUMBERS)

WIRE_NAMES: Final = {field.attribute: field.wire_name for field in FIELDS}


def zero_row(media_id: str) -> PlayRow:
    """The row of a video without plays; without viewers there is nothing per viewer."""
    return PlayRow(media_id, None, *(0 if field.zero_when_unplayed else None for field in NUMBERS))


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


def given_title(title: str | None) -> str | None:
    """A title; None if the service gave none, or blanks: without a title, messages and pages show the ID."""
    return None if title is None or not title.strip() else title
