"""Find the error in a response body, whatever its HTTP status; independent of the API action."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from exporter.errors import ErrorKind, UpstreamError
from exporter.vod import failure_signs
from exporter.vod.failure_signs import is_code
from exporter.vod.json_repair import NO_JSON, attempts, with_text_repaired

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

LARGEST_ERROR: Final = 64 * 1024
"""Bytes of a decoded body that reports only an error; genuine ones are far shorter."""

# Names of fields in lower case, without underscores and hyphens.
_CODES: Final = ("code", "errorcode", "errcode")
_MESSAGES: Final = ("message", "errormessage", "errormsg", "errmsg", "msg", "error", "errors")
_ERRORS: Final = ("error", "errors")
_DEEPEST: Final = 8
_UNREADABLE: Final = "the response has no rows, and other content that cannot be read"
# The gateway writes XML if it cannot read which format was requested.
_XML_FIELD: Final = re.compile(r"<(Code|Message|RequestId)>(?:<!\[CDATA\[)?([^<>]*?)(?:\]\]>)?</\1>")
# Codes and messages that report success, in lower case.
_FINE_CODES: Final = frozenset({"200", "ok", "success"})
_FINE_MESSAGES: Final = frozenset({"", "ok", "success", "successful", "succeeded", "成功", "请求成功", "操作成功"})


def malformed(message: str) -> UpstreamError:
    """The error of a body that cannot be used."""
    return UpstreamError(message, code="malformed", kind=ErrorKind.MALFORMED)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error as the service reports it; `code` or `message` is empty if it has none."""

    code: str
    message: str

    def __str__(self) -> str:
        """The message; the code of an error without one."""
        return self.message or self.code


def find(body: bytes) -> ErrorBody | None:
    """The error in a body that holds no data; None if the body reports success or is neither an object nor XML.

    An error is a Code other than 200, OK or Success, in any letter case, as text or number; or any other sign of a
    failure (see `failure_signs`).
    """
    parsed = _parsed(body)
    return None if parsed is None else _find(parsed)


def _find(parsed: Mapping[str, object]) -> ErrorBody | None:
    given = _fields(parsed)
    error = ErrorBody(code(given), message(given))
    if error.code:
        return error
    if (sign := failure_signs.find(parsed)) is None:
        return None
    has_message = error.message.strip().lower() not in _FINE_MESSAGES
    return replace(error, message=error.message if has_message else f"{sign.name} is {sign.value}")


def fields(body: bytes) -> Mapping[str, object]:
    """The fields of a JSON object, or of an error in XML, by lower-case name without underscores and hyphens.

    Empty for any other body. The service writes both cases. If the object has no code, the fields of the first nested
    object with a code take precedence, or those of a nested error.
    """
    return _fields(_parsed(body) or {})


def _fields(parsed: Mapping[str, object]) -> Mapping[str, object]:
    top = _by_name(parsed)
    if code(top):
        return top
    inner = (_by_name(each) for each in _nested(parsed))
    errors = (_by_name(each) for name in _ERRORS for each in _objects(top.get(name)))
    return {**top, **next((each for each in inner if code(each)), next(errors, {}))}


def _nested(parsed: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The objects within an object, the outer ones first."""
    level = [parsed]
    for _ in range(_DEEPEST):
        level = [each for outer in level for value in outer.values() for each in _objects(value)]
        yield from level


def code(given: Mapping[str, object]) -> str:
    """The code among the fields of an error; empty if there is none, or one of success."""
    named = text(given, *_CODES).strip()
    return (named if named.lower() not in _FINE_CODES else "") or next(
        (f"{value}" for name, value in given.items() if is_code(name, value)), ""
    )


def message(given: Mapping[str, object]) -> str:
    """The message among the fields of an error; empty if there is none."""
    return text(given, *_MESSAGES)


def text(given: Mapping[str, object], *names: str) -> str:
    """The first of the named fields that is a non-empty string or a number, as text; empty if there is none."""
    for name in names:
        value = given.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return ""


def _parsed(body: bytes) -> dict[str, object] | None:
    """The object in a body, repaired if necessary, so that an error in another encoding is found; or the fields of XML.

    None for any other body, and for one that is larger than any error.
    """
    if len(body) > LARGEST_ERROR:
        return None
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        given = _XML_FIELD.findall(body.decode("utf-8", "replace"))
        return {name: html.unescape(value) for name, value in reversed(given)} or None
    for repaired, _ in attempts(body):
        try:
            parsed = json.loads(repaired, strict=False)
        except (ValueError, RecursionError):
            continue
        return parsed if isinstance(parsed, dict) else None
    return None


def check_without_rows(body: bytes) -> None:
    """Check that an object without rows is one in which an error would have been found. Raises ValueError.

    It has a limited size, and gives no name different values: readers differ in which of them they use.
    """
    if len(body) > LARGEST_ERROR:
        raise ValueError(f"the response has no rows and {len(body)} bytes of other content")
    if _parsed(body) is None:
        raise ValueError(_UNREADABLE)
    repeated = False

    def read(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal repeated
        found = dict(pairs)
        repeated |= any(found[name] != value for name, value in pairs)
        return found

    try:
        json.loads(body, object_pairs_hook=read)
    except (ValueError, RecursionError) as error:
        raise ValueError(_UNREADABLE) from error
    if repeated:
        raise ValueError("the response has no rows and different values of a name")


def find_beside(body: bytes, data: Collection[str]) -> ErrorBody | None:
    """The error in a JSON object beside its fields `data`, which hold rows; None if there is none.

    Raises ValueError if what is beside the rows cannot be searched for one.
    """
    try:
        given = msgspec.json.decode(with_text_repaired(body), type=dict[str, msgspec.Raw])
    except NO_JSON:
        given = {}
    rest = msgspec.json.encode({name: value for name, value in given.items() if name not in data})
    parsed = _parsed(rest) if given else None
    if parsed is not None:
        return _find(parsed)
    raise ValueError("the response has content beside its rows that cannot be read")


def _objects(value: object) -> list[dict[str, object]]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def _by_name(parsed: Mapping[str, object]) -> dict[str, object]:
    return {name.lower().replace("_", "").replace("-", ""): value for name, value in parsed.items()}
