"""The table of the player metrics: name, name in the API, unit and meaning; and how they are divided into calls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# "Metrics: 1 to 3 names" (Alibaba Cloud's SDK).
MOST_PER_CALL: Final = 3


class Kind(StrEnum):
    """What a value is: a count is also valid for a bucket without plays, an average or a ratio is not."""

    COUNT = "count"
    AVERAGE = "average"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class PlayerField:
    """A metric of the API; its value divided by `divisor` has the unit of `name`.

    `per_viewer`: the service ignores filters of a call with this metric, so that it is requested without others.
    """

    name: str
    wire_name: str
    meaning: str
    kind: Kind
    divisor: float = 1.0
    per_viewer: bool = False


_MILLISECONDS: Final = 1_000.0
PLAYS: Final = "plays"

PLAYER_FIELDS: Final = (
    PlayerField(PLAYS, "Vv", "Number of plays, counted when playback is first prepared", Kind.COUNT),
    PlayerField("started_plays", "RealVv", "Number of plays that showed a picture", Kind.COUNT),
    PlayerField("play_failure_ratio", "PlayFailRate", "Plays that failed, as a ratio of all", Kind.RATIO),
    PlayerField("seed_failure_ratio", "SeedFailRate", "Plays that never started, as a ratio of all", Kind.RATIO),
    PlayerField(
        "first_frame_seconds",
        "FirstFrame",
        "Time from the request to the first frame, in seconds",
        Kind.AVERAGE,
        _MILLISECONDS,
    ),
    PlayerField(
        "first_frame_within_1s_ratio", "SecondPlayRate", "Plays with a first frame within 1 s, as a ratio", Kind.RATIO
    ),
    PlayerField(
        "first_frame_after_3s_ratio", "SlowPlayRate", "Plays with a first frame after 3 s or later", Kind.RATIO
    ),
    PlayerField("stutter_play_ratio", "StuckCountRate", "Plays that stuttered, as a ratio of all", Kind.RATIO),
    PlayerField(
        "stutter_seconds_per_100s",
        "StuckDuration100s",
        "Time of stutter in 100 s of playback, in seconds",
        Kind.AVERAGE,
        _MILLISECONDS,
    ),
    PlayerField("stutters_per_100s", "StuckCount100s", "Number of stutters in 100 s of playback", Kind.AVERAGE),
    PlayerField("errors_per_100s", "ErrorCount100s", "Number of errors in 100 s of playback", Kind.AVERAGE),
    PlayerField("seek_seconds", "SeekDuration", "Time that seeking takes, in seconds", Kind.AVERAGE, _MILLISECONDS),
    PlayerField(
        "bitrate_bits_per_second", "AvgPlayBitrate", "Average bit rate of playback, in bits per second", Kind.AVERAGE
    ),
    PlayerField(
        "start_bitrate_bits_per_second",
        "AvgStartBitrate",
        "Average bit rate at the start of playback, in bits per second",
        Kind.AVERAGE,
    ),
    PlayerField(
        "media_duration_seconds",
        "AvgVideoDuration",
        "Average length of the media played, in seconds",
        Kind.AVERAGE,
        _MILLISECONDS,
    ),
    PlayerField(
        "play_duration_seconds", "AvgPlayDuration", "Average time of a play, in seconds", Kind.AVERAGE, _MILLISECONDS
    ),
    PlayerField("completed_plays", "CompletionVv", "Number of plays to the end of the media", Kind.COUNT),
    PlayerField("completion_ratio", "CompletionRate", "Plays to the end of the media, as a ratio of all", Kind.RATIO),
    PlayerField("left_within_5s_ratio", "JumpRate5s", "Plays that were left within 5 s, as a ratio of all", Kind.RATIO),
    PlayerField("viewers", "Uv", "Number of unique viewers", Kind.COUNT, per_viewer=True),
    PlayerField("plays_per_viewer", "AvgPerVv", "Number of plays per viewer", Kind.AVERAGE, per_viewer=True),
    PlayerField(
        "play_duration_per_viewer_seconds",
        "AvgPerPlayDuration",
        "Time of playback per viewer, in seconds",
        Kind.AVERAGE,
        _MILLISECONDS,
        per_viewer=True,
    ),
    PlayerField(
        "completed_plays_per_viewer",
        "AvgPerCompletionVv",
        "Number of plays to the end of the media per viewer",
        Kind.AVERAGE,
        per_viewer=True,
    ),
)
BY_NAME: Final = {field.name: field for field in PLAYER_FIELDS}
DEFAULT_NAMES: Final = (
    PLAYS,
    "started_plays",
    "play_failure_ratio",
    "seed_failure_ratio",
    "first_frame_seconds",
    "stutter_play_ratio",
)
"""As many as two calls return."""


def calls(names: Iterable[str]) -> tuple[tuple[PlayerField, ...], ...]:
    """The fields of each call; plays are the first of the first call, because they tell which buckets have data."""
    wanted = {PLAYS, *names}
    fields = [field for field in PLAYER_FIELDS if field.name in wanted]
    return (
        *_in_calls([field for field in fields if not field.per_viewer]),
        *_in_calls([field for field in fields if field.per_viewer]),
    )


def _in_calls(fields: Sequence[PlayerField]) -> list[tuple[PlayerField, ...]]:
    return [tuple(fields[begin : begin + MOST_PER_CALL]) for begin in range(0, len(fields), MOST_PER_CALL)]
