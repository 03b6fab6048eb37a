"""The parameters of DescribeVodPlayerMetricData, checked by the service's rules, or an error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from exporter.simulator.error_responses import ApiError
from exporter.simulator.generated_media import SEGMENTS
from exporter.simulator.parameters import parse_time
from exporter.simulator.popularity import DAY

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES: Final = (
    *("AppId", "StartTime", "EndTime", "Interval", "TerminalType", "Metrics", "Os", "Filters", "Language"),
    *("PageNumber", "PageSize", "Top"),
)
METRICS: Final = (
    *("Vv", "RealVv", "FirstFrame", "SecondPlayRate", "SlowPlayRate", "StuckCountRate", "StuckDuration100s"),
    *("StuckCount100s", "SeekDuration", "PlayFailRate", "SeedFailRate", "ErrorCount100s", "AvgPlayBitrate"),
    *("AvgStartBitrate", "Uv", "AvgPerVv", "AvgPerPlayDuration", "AvgPerCompletionVv", "AvgVideoDuration"),
    *("AvgPlayDuration", "CompletionVv", "CompletionRate", "JumpRate5s"),
)
INTERVALS: Final = {"5m": 300, "1h": 3_600, "1d": DAY}
MOST_METRICS: Final = 3
LARGEST_PAGE: Final = 5_000

_REQUIRED: Final = ("AppId", "StartTime", "EndTime", "Interval", "TerminalType", "Metrics")
# The longest span of each interval, in days.
_SPANS: Final = {"5m": 3, "1h": 7, "1d": 31}
_HISTORY: Final = 366
_TERMINALS: Final = {"mobile": "Native", "web": "Web"}
_OS: Final = {
    "mobile": ("Android", "iOS", "Harmony"),
    "web": ("Android", "iOS", "Harmony", "Windows", "MacOS", "Linux"),
}
_SEPARATOR: Final = "#_#"
_PER_VIEWER: Final = frozenset({"Uv", "AvgPerVv", "AvgPerPlayDuration", "AvgPerCompletionVv"})
_FILTER_FIELDS: Final = frozenset(
    {
        *("os", "sdkversion", "appversion", "codec", "videotype", "network", "country", "isp", "videodefinition"),
        *("domain", "province", "ishw", "errorcode"),
    }
)
_MOST_FILTERS: Final = 3


@dataclass(frozen=True, slots=True)
class PlayerQuery:
    """The parsed parameters of a request: times in seconds since 1970, `segments` as indices into SEGMENTS.

    `filters`: the values of each filter in force; each combination of them is a dimension value.
    """

    app_id: str
    start: int
    end: int
    interval: int
    segments: tuple[int, ...]
    metrics: tuple[str, ...]
    filters: tuple[tuple[str, ...], ...]
    top: int | None
    page_number: int
    page_size: int


def parse_query(parameters: Mapping[str, str], now: float) -> PlayerQuery:
    """The query of a request at `now`; an empty value counts as absent. Raises ApiError."""
    given = {name: value for name, value in parameters.items() if value}
    for name in _REQUIRED:
        if name not in given:
            raise ApiError("MissingParameter", name)
    start, end, interval = _times(given, now)
    metrics = tuple(given["Metrics"].split(","))
    if len(metrics) > MOST_METRICS or not set(metrics) <= set(METRICS) or len(set(metrics)) < len(metrics):
        raise _invalid(f"Metrics must be 1 to {MOST_METRICS} of {' '.join(METRICS)}")
    page_size = _number("PageSize", given, LARGEST_PAGE)
    if page_size > LARGEST_PAGE:
        raise _invalid(f"PageSize must be from 1 to {LARGEST_PAGE}")
    filters = _filters(given.get("Filters"))
    return PlayerQuery(
        app_id=given["AppId"],
        start=start,
        end=end,
        interval=interval,
        segments=_segments(given),
        metrics=metrics,
        filters=() if _PER_VIEWER & set(metrics) else filters,
        top=_number("Top", given, 0) or None,
        page_number=_number("PageNumber", given, 1),
        page_size=page_size,
    )


def _times(given: Mapping[str, str], now: float) -> tuple[int, int, int]:
    start, end = parse_time(given["StartTime"]), parse_time(given["EndTime"])
    if start is None or end is None:
        raise _invalid("StartTime and EndTime must be yyyy-MM-ddTHH:mm:ssZ")
    interval = given["Interval"]
    if interval not in INTERVALS:
        raise _invalid(f"Interval must be one of {' '.join(INTERVALS)}")
    if not 0 < end - start <= _SPANS[interval] * DAY:
        raise _invalid(f"EndTime must be after StartTime, by at most {_SPANS[interval]} days for {interval}")
    if start < now - _HISTORY * DAY:
        raise _invalid("StartTime must be within the last year")
    return start, end, INTERVALS[interval]


def _segments(given: Mapping[str, str]) -> tuple[int, ...]:
    terminal = given["TerminalType"]
    if terminal not in _TERMINALS:
        raise _invalid(f"TerminalType must be one of {' '.join(_TERMINALS)}")
    # Both ways to write it are in the documentation.
    wanted = [os.replace("MacOs", "MacOS") for os in given["Os"].split(_SEPARATOR)] if "Os" in given else None
    if wanted is not None and not set(wanted) <= set(_OS[terminal]):
        raise _invalid(f"Os must be of {' '.join(_OS[terminal])}, joined by {_SEPARATOR}")
    return tuple(
        index
        for index, (terminal_type, os) in enumerate(SEGMENTS)
        if terminal_type == _TERMINALS[terminal] and (wanted is None or os.replace("macOS", "MacOS") in wanted)
    )


def _filters(text: str | None) -> tuple[tuple[str, ...], ...]:
    if text is None:
        return ()
    try:
        filters: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid("Filters must be JSON") from None
    if not isinstance(filters, list) or len(filters) > _MOST_FILTERS:
        raise _invalid(f"Filters must be a JSON array of at most {_MOST_FILTERS}")
    values = []
    for each in filters:
        if not isinstance(each, dict) or not all(isinstance(each.get(key), str) for key in ("Field", "Op", "Value")):
            raise _invalid("Filters must have Field, Op and Value")
        if each["Field"].lower() not in _FILTER_FIELDS or each["Op"] not in {"=", "!=", "<", ">"}:
            raise _invalid(f"Filters of {each['Field']} {each['Op']} are not known")
        if each["Op"] == "=":
            values.append(tuple(each["Value"].split(_SEPARATOR)))
    return tuple(values)


def _number(name: str, given: Mapping[str, str], default: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and (int(text) or name not in given)):  # noqa: PLR2004
        raise _invalid(f"{name} must be an integer from 1")
    return int(text)


def _invalid(message: str) -> ApiError:
    return ApiError("Meter.ParamError", message)
