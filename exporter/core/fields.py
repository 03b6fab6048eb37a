"""The fields of a row in the response, one line each; all lists of fields derive from this table.

The comparison of rows, the count of their series and the fast decoder name the fields themselves, for speed.
tests/core/test_fields.py fails if one of them, or any other place, lacks a field of this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from exporter.core.model import PlayRow


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its attribute in PlayRow and its name in QoeInfoList.

    * `zero_when_unplayed`: 0, not None, for a media without plays; rows of played media always have the field.
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
    """The row of a media without plays; without viewers there is nothing per viewer."""
    return PlayRow(media_id, None, *(0 if field.zero_when_unplayed else None for field in NUMBERS))
