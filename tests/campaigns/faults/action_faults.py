"""The faults of the actions beside play data: those of any action, and answers that are false in the terms of one."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from exporter.simulator.error_responses import MEDIA_ACTIONS
from tests.campaigns.faults import codes, network
from tests.campaigns.faults.broken_responses import BODIES, NO_COUNTS, NO_NUMBERS
from tests.campaigns.faults.fault import ConnectionFault, Family, Fault, NotApplicable
from tests.campaigns.faults.service import to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.campaigns.faults.fault import Exchange, Payload

    Change = Callable[[Payload], Any]

_MALFORMED: Final = ("malformed", "malformed")
_MARK: Final = "MARK"
COUNTED_ZERO: Final = "no rows, and 0 counted"
"""The only false answer that is to be believed to have no rows: nothing contradicts it."""
STRANGERS: Final = "hits of strangers"
"""Hits that fulfil no condition: the service compares otherwise than we do, and there are no media to be found."""
_A_CATEGORY: Final = 1_000_312_001
NOT_FOUND: Final = "InvalidVideo.NotFound"
"""Of GetVideoInfos it is an answer: there are no such media."""

# By action: the way to the list of its rows, and the number of all rows (none: not given).
_ROWS: Final = {
    "SearchMedia": (("MediaList",), "Total"),
    "GetVideoInfos": (("VideoList",), ""),
    "GetCategories": (("SubCategories", "Category"), "SubTotal"),
    "DescribeVodPlayerMetricData": (("DataList",), "TotalCnt"),
}
# By action, fields of a row that get literals which are no valid values of them.
_FIELDS: Final = {
    "SearchMedia": ("CateId", "CreationTime", "Tags"),
    "GetVideoInfos": ("CateId", "CreationTime", "VideoId"),
    "GetCategories": ("CateId", "SubTotal", "Level"),
    "DescribeVodPlayerMetricData": ("Vv", "RealVv", "TimeStamp"),
}


_KEYS: Final = ("MediaId", "VideoId", "CateId", "TimeStamp")


def rows_of(action: str, payload: Payload) -> list[Payload]:
    """The rows of an answer."""
    found: Any = payload
    for name in _ROWS[action][0]:
        found = found[name]
    return list(found)


def _with_rows(action: str, payload: Payload, rows: object, **fields: object) -> Payload:
    first, *inner = _ROWS[action][0]
    return {**payload, first: {inner[0]: rows} if inner else rows, **fields}


async def _body(exchange: Exchange, *, spoil: Callable[[bytes], bytes]) -> None:
    await exchange.send("200 OK", {}, spoil(to_json(exchange.payload)))


async def _error_without_rows(exchange: Exchange, *, action: str) -> None:
    """An error with HTTP 200 that has the fields of a response without rows."""
    count = _ROWS[action][1]
    none = {count: 0} if count else {"NonExistVideoIds": [row["VideoId"] for row in rows_of(action, exchange.payload)]}
    fields = {"Code": "InternalError", "Message": "x", "Success": False, **none}
    await exchange.send("200 OK", {}, to_json(_with_rows(action, exchange.payload, [], **fields)))


async def _changed(exchange: Exchange, *, change: Change) -> Payload:
    payload = change(deepcopy(exchange.payload))
    await exchange.send("200 OK", {}, to_json(payload))
    return dict(payload)


async def _literal(exchange: Exchange, *, action: str, name: str, literal: str) -> Payload:
    """The correct answer with another literal in one field of its last row."""
    rows = deepcopy(rows_of(action, exchange.payload))
    if not rows:
        raise NotApplicable
    row = rows[-1].get("Video", rows[-1])
    row[name] = _MARK
    if "Video" in rows[-1] and name in rows[-1]:
        rows[-1][name] = _MARK
    body = to_json(_with_rows(action, exchange.payload, rows)).replace(f'"{_MARK}"'.encode(), literal.encode())
    await exchange.send("200 OK", {}, body)
    row[name] = None
    return _with_rows(action, exchange.payload, rows)


async def _count(exchange: Exchange, *, name: str, literal: str) -> Payload:
    body = to_json({**exchange.payload, name: _MARK}).replace(f'"{_MARK}"'.encode(), literal.encode())
    await exchange.send("200 OK", {}, body)
    return exchange.payload


def _false(name: str, change: Change) -> Fault:
    """A well-formed answer that may be accepted or rejected."""
    return Fault(name, Family.LIE, _MALFORMED, 4, partial(_changed, change=change), sure=False)


def _nothing_given(row: Payload) -> Payload:
    """A row with its key alone."""
    return {
        name: _nothing_given(value) if isinstance(value, dict) else value if name in _KEYS else None
        for name, value in row.items()
    }


def _as_texts(row: Payload) -> Payload:
    return {
        name: _as_texts(value) if isinstance(value, dict) else str(value) if isinstance(value, int | float) else value
        for name, value in row.items()
    }


def _of_lists(action: str) -> list[Fault]:
    """False lists and counts that every action can have."""
    count = _ROWS[action][1]
    counted = {count: 7} if count else {}
    uncounted = {count: None} if count else {}
    changes: dict[str, Change] = {
        "no rows of those counted": lambda given: _with_rows(action, given, [], **counted),
        "no rows and no count": lambda given: _with_rows(action, given, [], **uncounted),
        "a list null and no count": lambda given: _with_rows(action, given, None, **uncounted),
        "rows without their fields": lambda given: _with_rows(action, given, [{} for _ in rows_of(action, given)]),
        "fields null": lambda given: _with_rows(action, given, [_nothing_given(row) for row in rows_of(action, given)]),
        "numbers as texts": lambda given: _with_rows(action, given, [_as_texts(row) for row in rows_of(action, given)]),
        "half of the rows": lambda given: _with_rows(action, given, rows_of(action, given)[::2]),
        "every row twice": lambda given: _with_rows(action, given, [r for r in rows_of(action, given) for _ in (0, 1)]),
        "the rows backwards": lambda given: _with_rows(action, given, rows_of(action, given)[::-1]),
        "texts for rows": lambda given: _with_rows(action, given, [json.dumps(r) for r in rows_of(action, given)]),
    }
    if count:
        changes |= {
            COUNTED_ZERO: lambda given: _with_rows(action, given, [], **{count: 0}),
            "a count of one more": lambda given: {**given, count: given[count] + 1},
            "a count far too large": lambda given: {**given, count: given[count] + 1_000},
            "a count of 1": lambda given: {**given, count: 1},
            "a count of 0": lambda given: {**given, count: 0},
        }
    return [_false(name, change) for name, change in changes.items()]


def _other_media(given: Payload) -> Payload:
    """Other media than those that exist, with everything that is compared."""
    rows = rows_of("SearchMedia", given)
    for row in rows:
        row["MediaId"] = row["Video"]["VideoId"] = f"stranger-{row['MediaId']}"
        row["Video"] |= {"CateId": 5, "Status": "Blocked"}
    return {**given, "MediaList": rows}


def _other_ids(given: Payload) -> Payload:
    rows = [{**row, "VideoId": f"stranger-{number}"} for number, row in enumerate(given["VideoList"])]
    return {**given, "VideoList": rows}


def _none_exist(given: Payload) -> Payload:
    return {**given, "VideoList": [], "NonExistVideoIds": [row["VideoId"] for row in given["VideoList"]]}


def _circle(given: Payload) -> Payload:
    """Every category has others below it, without end."""
    rows = [{**row, "SubTotal": 3, "ParentId": row["CateId"]} for row in rows_of("GetCategories", given)]
    return _with_rows("GetCategories", given, rows)


def _of_categories(given: Payload, **fields: object) -> Payload:
    return _with_rows("GetCategories", given, [{**row, **fields} for row in rows_of("GetCategories", given)])


def _player(given: Payload, change: Callable[[int, Payload], Payload]) -> Payload:
    return {**given, "DataList": [change(number, row) for number, row in enumerate(given["DataList"])]}


def _moved(row: Payload, seconds: int) -> Payload:
    at = datetime.fromisoformat(row["TimeStamp"]) + timedelta(seconds=seconds)
    return {**row, "TimeStamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _numbers(row: Payload, change: Callable[[Any], Any]) -> Payload:
    return {name: value if name in ("TimeStamp", "Dimension") else change(value) for name, value in row.items()}


def _twice_differently(given: Payload) -> Payload:
    return {**given, "DataList": [*given["DataList"], *(_numbers(row, lambda _: 0.5) for row in given["DataList"])]}


def _of_two_dimensions(given: Payload) -> Payload:
    rows = [{**row, "Dimension": each} for row in given["DataList"] for each in ("H264", "H265")]
    return {**given, "DataList": rows}


def _extended(given: Payload, **fields: object) -> Payload:
    return {**given, "Extend": {**given.get("Extend", {}), **fields}}


_OWN: Final[dict[str, dict[str, Change]]] = {
    "SearchMedia": {
        STRANGERS: _other_media,
        "the newest first": lambda given: {**given, "MediaList": given["MediaList"][::-1]},
        "a negative count": lambda given: {**given, "Total": -1},
    },
    "GetVideoInfos": {
        "other media": _other_ids,
        "no media that exists": _none_exist,
        "neither list": lambda given: {**given, "VideoList": None, "NonExistVideoIds": None},
    },
    "GetCategories": {
        "categories without end": _circle,
        "one ID for all": lambda given: _of_categories(given, CateId=_A_CATEGORY),
        "IDs below zero": lambda given: _of_categories(given, CateId=-5),
    },
    "DescribeVodPlayerMetricData": {
        "buckets off the grid": lambda given: _player(given, lambda _, row: _moved(row, 60)),
        "buckets of tomorrow": lambda given: _player(given, lambda _, row: _moved(row, 86_400)),
        "buckets of an hour": lambda given: _extended(given, IntervalSeconds=3_600),
        "data until tomorrow": lambda given: _extended(given, ActualEndTime="2024-03-26T00:00:00Z"),
        "all zeros": lambda given: _player(given, lambda _, row: _numbers(row, lambda _: 0)),
        "all null": lambda given: _player(given, lambda _, row: _numbers(row, lambda _: None)),
        "negative numbers": lambda given: _player(given, lambda _, row: _numbers(row, lambda _: -5)),
        "ratios above 1": lambda given: _player(given, lambda _, row: {**row, "PlayFailRate": 55}),
        "other numbers each time": lambda given: _player(
            given, lambda number, row: {**row, "Vv": id(given) % 997 + number}
        ),
        "every row twice, with other numbers": _twice_differently,
        "rows of two dimensions": _of_two_dimensions,
    },
}


def faults(action: str) -> tuple[Fault, ...]:
    """All of them. Connections are not those of one action: the matrix of play data breaks them."""
    of_any = [*codes.faults(), *network.faults(), *codes.by_code(code for code in MEDIA_ACTIONS if code != NOT_FOUND)]
    count = _ROWS[action][1]
    literals = [
        Fault(
            f"{name}: {what}",
            Family.ANSWER,
            _MALFORMED,
            4,
            partial(_literal, action=action, name=name, literal=text),
            sure=False,
        )
        for name in _FIELDS[action]
        for what, text in NO_NUMBERS.items()
    ]
    counts = [
        Fault(
            f"{count} of all: {what}",
            Family.ANSWER,
            _MALFORMED,
            4,
            partial(_count, name=count, literal=text),
            sure=False,
        )
        for what, text in NO_COUNTS.items()
        if count
    ]
    return (
        *(fault for fault in of_any if fault.connection_fault is ConnectionFault.NONE),
        *(
            Fault(f"body: {name}", Family.ANSWER, _MALFORMED, 4, partial(_body, spoil=spoil))
            for name, spoil in BODIES.items()
        ),
        Fault(
            "an error with HTTP 200 and no rows",
            Family.ANSWER,
            ("InternalError", "server"),
            4,
            partial(_error_without_rows, action=action),
        ),
        *literals,
        *counts,
        *_of_lists(action),
        *(_false(name, change) for name, change in _OWN[action].items()),
    )
