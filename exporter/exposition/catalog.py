"""The table of the play metrics: name, type, help, labels and the source of the value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from exporter.core import play_dates
from exporter.core.fields import WIRE_NAMES, zero_row
from exporter.core.media_details import LABELS as METADATA_LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.model import PlayRow
    from exporter.core.publication import PublishedMedia, PublishedSlice, SettledDay, SettledPlays

Source = TypeVar("Source")


class MetricType(StrEnum):
    """The metric types in use, as all exposition formats write them."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric family; `help` is one sentence without characters that the formats escape differently."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family(Generic[Source]):
    """A play metric: a gauge and the function that reads its value from a source; None means no series."""

    metric: Metric
    value: Callable[[Source], float | None]


def _family(name: str, help_: str, labels: tuple[str, ...], value: Callable[[Source], float | None]) -> Family[Source]:
    return Family(Metric(name, MetricType.GAUGE, help_, labels), value)


# The labels of a slice; the renderer writes `media_id` after `account`.
_SLICE: Final = ("account", "terminal_type", "os", "region", "days_ago")
MEDIA_LABELS: Final = ("account", "media_id")
_PLAY: Final = (*MEDIA_LABELS, *_SLICE[1:])
# Without days_ago: the last settled day changes when the next one settles, not at midnight.
_SETTLED_DAY: Final = _SLICE[:-1]
_SETTLED_PLAYS: Final = _PLAY[:-1]

ZERO_ROW: Final = zero_row("")
"""The row to render for a video without plays; labels are not taken from it."""


def _play(attribute: str, name: str, help_: str) -> tuple[str, Family[PlayRow]]:
    """The metric of a field; the help ends with the name of the field in the response."""
    return attribute, _family(name, f"{help_} ({WIRE_NAMES[attribute]}).", _PLAY, attrgetter(attribute))


PLAY_BY_FIELD: Final = dict(
    (
        _play(
            "plays",
            "aliyun_vod_media_plays",
            "Number of plays of the media on the play date",
        ),
        _play(
            "viewers",
            "aliyun_vod_media_viewers",
            "Number of unique viewers of the media on the play date",
        ),
        _play(
            "plays_per_viewer",
            "aliyun_vod_media_plays_per_viewer",
            "Number of plays per viewer of the media on the play date",
        ),
        _play(
            "play_duration",
            "aliyun_vod_media_play_duration_seconds",
            "Total time the media was played on the play date, in seconds",
        ),
        _play(
            "play_duration_per_viewer",
            "aliyun_vod_media_play_duration_per_viewer_seconds",
            "Time the media was played per viewer on the play date, in seconds",
        ),
    )
)
"""The metrics of a video on a day, by attribute of PlayRow; `fetch` prints the same fields in the same order."""
PLAY: Final = tuple(PLAY_BY_FIELD.values())

SETTLED_PLAYS: Final[tuple[Family[SettledPlays], ...]] = (
    _family(
        "aliyun_vod_media_settled_plays",
        "Number of plays of the media on the last settled day (PlaySuccessVv).",
        _SETTLED_PLAYS,
        attrgetter("plays"),
    ),
    _family(
        "aliyun_vod_media_settled_plays_expected",
        "Number of plays expected on the last settled day, computed from settled days before it.",
        _SETTLED_PLAYS,
        attrgetter("expected"),
    ),
)

MEDIA: Final[tuple[Family[PublishedMedia], ...]] = (
    _family(
        "aliyun_vod_media_duration_seconds",
        "Length of the media, in seconds (VideoDuration).",
        MEDIA_LABELS,
        attrgetter("duration"),
    ),
    _family(
        "aliyun_vod_media_info",
        "Always 1; the newest title of the media is in its label (VideoTitle).",
        (*MEDIA_LABELS, "title"),
        lambda media: None if media.title is None else 1,
    ),
)
"""The metrics of a video whatever the day; labels after `media_id` are attributes of PublishedMedia."""

SLICE: Final[tuple[Family[PublishedSlice], ...]] = (
    _family(
        "aliyun_vod_slice_media",
        "Media with plays in the slice (TotalCount); absent until a listing was read.",
        _SLICE,
        lambda published: published.total,
    ),
    _family(
        "aliyun_vod_slice_updated_timestamp_seconds",
        "Time of the last successful poll of the slice, in seconds since 1970.",
        _SLICE,
        lambda published: published.updated_at,
    ),
    _family(
        "aliyun_vod_slice_settled",
        "Whether the slice is final and no longer polled: 1 or 0.",
        _SLICE,
        lambda published: int(published.settled),
    ),
    _family(
        "aliyun_vod_slice_ready",
        "Whether the service has computed the slice: 0 after Meter.ReadyTsError, else 1.",
        _SLICE,
        lambda published: int(published.ready),
    ),
)

SETTLED_DATE: Final[Family[SettledDay]] = _family(
    "aliyun_vod_slice_settled_date_timestamp_seconds",
    "Start of the last settled day that has expected plays (00:00 UTC+8), in seconds since 1970.",
    _SETTLED_DAY,
    lambda day: play_dates.start(day.slice.play_date),
)

PLAY_DATE: Final[Family[float]] = _family(
    "aliyun_vod_play_date_timestamp_seconds",
    "Start of the play date of this days_ago (00:00 UTC+8), in seconds since 1970.",
    ("days_ago",),
    lambda start: start,
)

# Labels that an account does not export are left out: for Prometheus an empty label is the same as none.
METADATA_INFO: Final = Metric(
    "aliyun_vod_media_metadata_info",
    MetricType.GAUGE,
    "Always 1; the configured metadata of the media is in its labels.",
    (*MEDIA_LABELS, "category_id", *METADATA_LABELS),
)
MEDIA_CREATED: Final = Metric(
    "aliyun_vod_media_created_timestamp_seconds",
    MetricType.GAUGE,
    "Time when the media was created, in seconds since 1970 (CreationTime).",
    MEDIA_LABELS,
)
MEDIA_TAG_INFO: Final = Metric(
    "aliyun_vod_media_tag_info",
    MetricType.GAUGE,
    "Always 1; a configured tag that the media has (Tags).",
    (*MEDIA_LABELS, "tag"),
)
MEDIA_DELETED: Final = Metric(
    "aliyun_vod_media_deleted",
    MetricType.GAUGE,
    "Always 1: the service reported that the media does not exist (NonExistVideoIds).",
    MEDIA_LABELS,
)
CATEGORY_INFO: Final = Metric(
    "aliyun_vod_category_info",
    MetricType.GAUGE,
    "Always 1; a category of media: its path, the ID of the category above it and its level from 0.",
    ("account", "category_id", "category", "parent_id", "level"),
)

PLAY_METRICS: Final[tuple[Metric, ...]] = (
    *(family.metric for family in PLAY),
    *(family.metric for family in SETTLED_PLAYS),
    *(family.metric for family in MEDIA),
    METADATA_INFO,
    MEDIA_CREATED,
    MEDIA_TAG_INFO,
    MEDIA_DELETED,
    CATEGORY_INFO,
    *(family.metric for family in SLICE),
    SETTLED_DATE.metric,
    PLAY_DATE.metric,
)
