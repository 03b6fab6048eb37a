"""Responses with bad bodies: invalid JSON, wrong documents, values that are not numbers or not text."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.campaigns.faults.fault import Family, Fault, NotApplicable
from tests.campaigns.faults.service import request_id, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.campaigns.faults.fault import Exchange, Payload

_MALFORMED: Final = ("malformed", "malformed")
# A number that no media has: if it is exported, an invalid response was accepted.
POISON: Final = 66_600_666
_MARK: Final = "MARK"
# Deeper than a parser that recurses can follow: since 3.14 Python allows what fits on the stack, not 1,000 levels.
_DEEP: Final = 1_000_000


async def _body(exchange: Exchange, *, spoil: Callable[[bytes], bytes]) -> None:
    await exchange.send("200 OK", {}, spoil(to_json(_poisoned(exchange.payload))))


async def _literal(exchange: Exchange, *, name: str, literal: str, means: Any = None, believed: bool) -> Payload | None:
    """The correct response with another literal as the value of one field; of the last row for a field of rows."""
    payload = {**exchange.payload} if believed else _poisoned(exchange.payload)
    if name in payload:
        payload[name] = _MARK
    else:
        rows = [dict(row) for row in payload["QoeInfoList"]]
        if not rows:
            raise NotApplicable
        rows[-1][name] = _MARK
        payload["QoeInfoList"] = rows
    body = to_json(payload).replace(f'"{name}":"{_MARK}"'.encode(), f'"{name}":'.encode() + _bytes(literal))
    await exchange.send("200 OK", {}, body)
    if not believed:
        return None
    if name in exchange.payload:
        return {**exchange.payload, name: means}
    return {**payload, "QoeInfoList": [*payload["QoeInfoList"][:-1], {**payload["QoeInfoList"][-1], name: means}]}


async def _without_total(exchange: Exchange, *, literal: str) -> Payload | None:
    """The correct response, but its count is unusable: its rows count, and a response without rows is refused."""
    body = to_json({**exchange.payload, "TotalCount": _MARK}).replace(f'"{_MARK}"'.encode(), _bytes(literal))
    await exchange.send("200 OK", {}, body)
    return {**exchange.payload, "TotalCount": None} if exchange.payload["QoeInfoList"] else None


async def _without_media_id(exchange: Exchange, *, literal: str) -> Payload | None:
    """The correct response, but the last row has no usable media ID: it is ignored, the others count."""
    rows = exchange.payload["QoeInfoList"]
    if not rows:
        raise NotApplicable
    marked = {**exchange.payload, "QoeInfoList": [*rows[:-1], {**rows[-1], "MediaId": _MARK, "DAU": POISON}]}
    body = to_json(marked).replace(f'"{_MARK}"'.encode(), _bytes(literal))
    await exchange.send("200 OK", {}, body)
    return {**exchange.payload, "QoeInfoList": rows[:-1]} if len(rows) > 1 else None


async def _rows(exchange: Exchange, *, change: Callable[[Payload], Payload]) -> Payload:
    """The correct response in other types, which mean the same or nothing."""
    payload = {**exchange.payload, "QoeInfoList": [change(row) for row in exchange.payload["QoeInfoList"]]}
    await exchange.send("200 OK", {}, to_json(payload))
    return payload


async def _list(exchange: Exchange, *, empty: dict[str, Any]) -> Payload:
    payload = {"RequestId": request_id(), "TotalCount": 0, **empty}
    await exchange.send("200 OK", {}, to_json(payload))
    return payload


async def _twice(exchange: Exchange) -> Payload:
    """Every number twice, as JSON allows: parsers take the last one. Without rows that would be no answer."""
    body = to_json(exchange.payload)
    for name in ("PlaySuccessVv", "DAU", "TotalCount") if exchange.payload["QoeInfoList"] else ():
        body = body.replace(f'"{name}":'.encode(), f'"{name}":{POISON},"{name}":'.encode())
    await exchange.send("200 OK", {}, body)
    return exchange.payload


def _poisoned(payload: Payload) -> Payload:
    rows = [{**row, "PlaySuccessVv": POISON, "DAU": POISON} for row in payload["QoeInfoList"]]
    return {**payload, "QoeInfoList": rows}


def _bytes(literal: str) -> bytes:
    return literal.encode("utf-8", "surrogateescape")


def _is_number(name: str) -> bool:
    return name not in ("MediaId", "VideoTitle")


def _many_rows(body: bytes) -> bytes:
    rows = b",".join(b'{"MediaId":"%032x","DAU":%d}' % (number, POISON) for number in range(150_000))
    return body.partition(b'"QoeInfoList":')[0] + b'"QoeInfoList":[' + rows + b"]}"


def _strings(row: Payload) -> Payload:
    return {name: str(value) if _is_number(name) else value for name, value in row.items()}


def _refused(name: str, act: Callable[[Exchange], Any]) -> Fault:
    return Fault(name, Family.ANSWER, _MALFORMED, 4, act)


def _valid_response_fault(name: str, act: Callable[[Exchange], Any]) -> Fault:
    return Fault(name, Family.ANSWER, None, 1, act)


# Literals that are not numbers a video can have: the field is absent, the rest of the row counts.
NO_NUMBERS: Final = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "1e400": "1e400",
    "-1e400": "-1e400",
    "an integer of 400 digits": "9" * 400,
    "a negative integer of 400 digits": "-" + "9" * 400,
    "true": "true",
    "a list": "[5]",
    "an object": '{"value":5}',
    "an empty text": '""',
    "a text": '"many"',
    "NaN as a text": '"NaN"',
    "Infinity as a text": '"Infinity"',
    "1e400 as a text": '"1e400"',
    "400 digits as a text": f'"{"9" * 400}"',
    "a text with a comma": '"1,000"',
    "hexadecimal": '"0x10"',
    "digits of another script": '"\N{ARABIC-INDIC DIGIT THREE}"',
    "a leading zero": "007",
    "nothing but a sign": '"-"',
    "null as a text": '"null"',
    "a negative number": "-5",
    "2^53 + 1": "9007199254740993",
    "an integer of 30 digits": "9" * 30,
    "the largest float": "1.7976931348623157e308",
}
# Unexpected numbers; they are published because the service returned them.
NUMBERS: Final[dict[str, tuple[str, float]]] = {
    "a fraction": ("0.1", 0.1),
    "2^53": ("9007199254740992", 2.0**53),
    "too small for a float": ("1e-400", 0.0),
    "minus zero": ("-0.0", 0.0),
    "a number as a text": ('"12.5"', 12.5),
}
NO_COUNTS: Final = {name: NO_NUMBERS[name] for name in ("NaN", "1e400", "true", "a list", "a text")} | {
    "a negative number": "-1",
    "a fraction": "1.5",
}
NO_TITLES_BUT_ROWS: Final[dict[str, tuple[str, str]]] = {
    "half a character": (r'"a\ud83d"', "a\N{REPLACEMENT CHARACTER}"),
    "the other half": (r'"\ude00b"', "\N{REPLACEMENT CHARACTER}b"),
    "bytes that are not UTF-8": ('"a\udcffb"', "a\N{REPLACEMENT CHARACTER}b"),
    "an object": ('{"zh":"x"}', ""),
    "a list": ('["x"]', ""),
    "an empty text": ('""', ""),
    "lines and quotes": (r'"a\"\n\\b"', 'a"\n\\b'),
    "control characters": (r'"a\u0000\u001b[31mb"', "a [31mb"),
    "150,000 letters": (f'"{"x" * 150_000}"', "x" * 127 + "\N{HORIZONTAL ELLIPSIS}"),
}


# Bodies that are not an answer of any action, made from the correct one.
BODIES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "nothing": lambda _: b"",
    "HTML": lambda _: b"<!DOCTYPE html><html><body>Welcome</body></html>",
    "half an answer": lambda body: body[: len(body) // 2],
    "two answers": lambda body: body * 2,
    "UTF-16": lambda body: body.decode().encode("utf-16"),
    "null": lambda _: b"null",
    "a list": lambda body: b"[%b]" % body,
    "a text": lambda body: json.dumps(body.decode()).encode(),
    "a number": lambda _: b"%d" % POISON,
    "an empty object": lambda _: b"{}",
    "nested deeply": lambda _: b"[" * _DEEP,
    "nested deeply inside": lambda body: b'{"X":%b%b,%b' % (b"[" * _DEEP, b"]" * _DEEP, body[1:]),
    "a control character": lambda body: body.replace(b":", b":\x01", 1),
    "no comma": lambda body: body.replace(b",", b"", 1),
}


def faults() -> tuple[Fault, ...]:
    """All of them."""
    literal = partial(partial, _literal)
    return (
        *(_refused(f"body: {name}", partial(_body, spoil=spoil)) for name, spoil in BODIES.items()),
        *(
            _valid_response_fault(f"plays: {name}", literal(name="PlaySuccessVv", literal=text, believed=True))
            for name, text in NO_NUMBERS.items()
        ),
        *(
            _valid_response_fault(
                f"plays: {name}", literal(name="PlaySuccessVv", literal=text, means=means, believed=True)
            )
            for name, (text, means) in NUMBERS.items()
        ),
        *(
            Fault(
                f"TotalCount: {name}", Family.ANSWER, _MALFORMED, 4, partial(_without_total, literal=text), sure=False
            )
            for name, text in NO_COUNTS.items()
        ),
        *(
            _valid_response_fault(
                f"title: {name}", literal(name="VideoTitle", literal=text, means=means, believed=True)
            )
            for name, (text, means) in NO_TITLES_BUT_ROWS.items()
        ),
        *(
            Fault(
                f"MediaId: {name}", Family.ANSWER, _MALFORMED, 4, partial(_without_media_id, literal=text), sure=False
            )
            for name, text in (
                ("null", "null"),
                ("empty", '""'),
                ("a number", "5"),
                ("half a character", r'"a\ud83d"'),
                ("bytes that are not UTF-8", '"a\udcff"'),
                ("150,000 letters", f'"{"x" * 150_000}"'),
            )
        ),
        *(
            _refused(f"QoeInfoList: {name}", literal(name="QoeInfoList", literal=text, believed=False))
            for name, text in (("an object", "{}"), ("a text", '"x"'), ("with null in it", "[null]"), ("true", "true"))
        ),
        _refused("PageNo: another", literal(name="PageNo", literal="77", believed=False)),
        _refused("150,000 rows", partial(_body, spoil=_many_rows)),
        _valid_response_fault("numbers as texts", partial(_rows, change=_strings)),
        _valid_response_fault(
            "nulls", partial(_rows, change=lambda row: {**dict.fromkeys(row), "MediaId": row["MediaId"]})
        ),
        _valid_response_fault("fields missing", partial(_rows, change=lambda row: {"MediaId": row["MediaId"]})),
        _valid_response_fault("every number twice", _twice),
        *(
            # After a page with rows, a total of 0 contradicts them, so the listing is incomplete.
            Fault(f"list {name}", Family.ANSWER, None, 1, partial(_list, empty=empty), sure=False)
            for name, empty in (("null", {"QoeInfoList": None}), ("missing", {}))
        ),
    )
