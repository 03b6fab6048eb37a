"""DescribeVodPlayerMetricData: a target, metrics and a range → request parameters; its JSON → rows of buckets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from exporter.core.player_fields import PLAYER_FIELDS, Kind
from exporter.core.player_intervals import INTERVALS
from exporter.vod import error_bodies, row_values
from exporter.vod.actions import Action
from exporter.vod.json_repair import NO_JSON, attempts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.core.player_buckets import TimeRange, Values
    from exporter.core.player_fields import PlayerField
    from exporter.core.player_query import PlayerTarget
    from exporter.vod.actions import ApiClient

PAGE_SIZE: Final = 5_000
"""Rows in the largest page of the service; no requested range has so many buckets."""

_FIELDS: Final = {metric.wire_name: metric for metric in PLAYER_FIELDS}
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_NULL: Final = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class PlayerRows:
    """The rows of a response by start of the bucket, in seconds since 1970; values in the units of our metrics.

    * `data_until`: the newest bucket that has data; None: not given.
    * `problems`: how often a value of each field was invalid.
    """

    rows: Mapping[int, Values]
    data_until: int | None = None
    problems: Mapping[str, int] = field(default_factory=dict)


class _PlayerBody(msgspec.Struct, gc=False):
    Extend: msgspec.Raw = _NULL
    DataList: list[dict[str, msgspec.Raw]] | None = None


_DECODER: Final = msgspec.json.Decoder(_PlayerBody)


def decode(body: bytes, parameters: Mapping[str, str]) -> PlayerRows:
    """Decode a response to a request with these parameters; raises UpstreamError of kind malformed.

    A bucket that has two rows with different values is left out, and so is a single invalid value. Rows of several
    dimensions, although none was requested, cannot be distinguished: then none of them is used.
    """
    response, body = _parse(body)
    try:
        return _decoded(body, response, parameters)
    except ValueError as error:
        raise error_bodies.malformed(str(error)) from error


PLAYER_METRICS: Final = Action(
    "DescribeVodPlayerMetricData",
    "2017-03-21",
    "vod:DescribeVodPlayerMetricData",
    decode,
    parameter_advice="Check app_id, os and terminal_type of the player: the account must have the application, and"
    " these credentials a grant for it.",
)
"""Its error codes are not documented."""


async def read(
    client: ApiClient, target: PlayerTarget, fields: Sequence[PlayerField], requested: TimeRange, interval: str
) -> PlayerRows:
    """Request one to three metrics of a target; raises UpstreamError."""
    return await client.call(PLAYER_METRICS, parameters(target, fields, requested, interval))


def parameters(
    target: PlayerTarget, fields: Sequence[PlayerField], requested: TimeRange, interval: str
) -> dict[str, str]:
    """The request parameters."""
    given = {
        "AppId": target.app_id,
        "StartTime": datetime.fromtimestamp(requested.start, UTC).strftime(_TIME),
        "EndTime": datetime.fromtimestamp(requested.end, UTC).strftime(_TIME),
        "Interval": interval,
        "TerminalType": target.terminal_type,
        "Metrics": ",".join(metric.wire_name for metric in fields),
        "Language": "en",
        "PageNumber": "1",
        "PageSize": str(PAGE_SIZE),
    }
    return {**given, "Os": target.os} if target.os else given


def _parse(body: bytes) -> tuple[_PlayerBody, bytes]:
    for repaired, _ in attempts(body):
        try:
            return _DECODER.decode(repaired), repaired
        except NO_JSON:
            continue
    raise error_bodies.malformed("the response is not JSON, or not a response of DescribeVodPlayerMetricData")


def _decoded(body: bytes, response: _PlayerBody, parameters: Mapping[str, str]) -> PlayerRows:
    listed = response.DataList or []
    extend = _extend(response)
    if not listed:
        if error := error_bodies.find(body):
            raise ValueError(f"the response contains an error and no rows: {error}")
        if response.DataList is None and not extend:
            raise ValueError("neither DataList nor Extend: this is not a response of DescribeVodPlayerMetricData")
        error_bodies.check_without_rows(body)
    elif (error := error_bodies.find_beside(body, ["DataList"])) and error.code:
        # Buckets without a row would count as buckets without plays.
        raise ValueError(f"the response contains an error beside rows: {error}")
    if len(listed) >= PAGE_SIZE:
        raise ValueError(f"DataList has {len(listed)} rows, more than the range has buckets")
    length = INTERVALS[parameters["Interval"]].seconds
    given = _number(extend.get("IntervalSeconds"))
    if given is not None and given != length:
        raise ValueError(f"IntervalSeconds is {given:g}, but {length} were requested: these are other buckets")
    dimensions = {_dimension(row.get("Dimension", _NULL)) for row in listed}
    if len(dimensions) > 1:
        raise ValueError(
            f"rows of {len(dimensions)} dimensions, although none was requested: they cannot be distinguished"
        )
    return _rows(listed, parameters["Metrics"].split(","), _time(extend.get("ActualEndTime")))


def _rows(listed: Sequence[Mapping[str, msgspec.Raw]], names: Sequence[str], data_until: int | None) -> PlayerRows:
    rows: dict[int, Values] = {}
    ambiguous: set[int] = set()
    problems: dict[str, int] = {}

    def value(row: Mapping[str, msgspec.Raw], name: str) -> float | None:
        number, reason = row_values.number(bytes(row.get(name, _NULL)))
        metric = _FIELDS[name]
        if number is not None and metric.kind is Kind.RATIO and number > 1:
            number, reason = None, "not a ratio"
        if reason:
            problems[name] = problems.get(name, 0) + 1
        return number if number is None or metric.divisor == 1 else number / metric.divisor

    for row in listed:
        start = _time(_text(row.get("TimeStamp", _NULL)))
        if start is None:
            problems["TimeStamp"] = problems.get("TimeStamp", 0) + 1
            continue
        values = tuple(value(row, name) for name in names)
        if rows.setdefault(start, values) != values:
            ambiguous.add(start)
    if listed and not rows:
        raise ValueError("no row of DataList has a TimeStamp that can be read")
    if ambiguous:
        problems["TimeStamp"] = problems.get("TimeStamp", 0) + len(ambiguous)
    return PlayerRows({at: values for at, values in rows.items() if at not in ambiguous}, data_until, problems)


def _extend(response: _PlayerBody) -> Mapping[str, Any]:
    try:
        given = msgspec.json.decode(bytes(response.Extend))
    except NO_JSON:
        return {}
    return given if isinstance(given, dict) else {}


def _dimension(value: msgspec.Raw) -> str:
    """The value; absent, null and empty are the same."""
    found = bytes(value)
    return "" if found in {b"null", b'""'} else _text(value) or found.decode("utf-8", "replace")


def _text(value: msgspec.Raw) -> str | None:
    return row_values.text(bytes(value))


def _number(value: object) -> float | None:
    try:
        found = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _time(value: object) -> int | None:
    """Seconds since 1970 of a time in UTC; None if it cannot be read."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
