"""Find the error in a response body, whatever its HTTP status; independent of the API action."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_ERROR: Final = 64 * 1024
"""Bytes of a decoded body that reports only an error; genuine ones are far shorter."""

_CODES: Final = ("code", "errorcode", "errcode")
_MESSAGES: Final = ("message", "errormessage", "errormsg", "msg", "error")
# Codes and messages that report success, in lower case.
_FINE_CODES: Final = frozenset({"200", "ok", "success"})
_FINE_MESSAGES: Final = frozenset({"", "ok", "success", "successful", "succeeded", "成功", "请求成功", "操作成功"})


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error as the service reports it; `code` is empty if it has none."""

    code: str
    message: str
    request_id: str


def find(body: bytes) -> ErrorBody | None:
    """The error in a body that holds no data; None if the body reports success or cannot be read.

    An error is a Code other than 200, OK or Success, in any letter case, as text or number; or `Success: false`; or a
    message without either of them.
    """
    given = fields(body)
    error = ErrorBody(code(given).strip(), message(given), text(given, "requestid"))
    if error.code and error.code.lower() not in _FINE_CODES:
        return error
    success = given.get("success")
    if success is False or str(success).strip().lower() in {"false", "0"}:
        return replace(error, code="")
    if error.code or success is not None:
        return None
    odd_code = any(given.get(name) not in (None, "") for name in _CODES)
    return error if odd_code or error.message.strip().lower() not in _FINE_MESSAGES else None


def fields(body: bytes) -> Mapping[str, object]:
    """The fields of a JSON object by lower-case name (the service writes both cases); empty for any other body.

    If the object has no code, the fields of the first nested object with a code take precedence.
    """
    if len(body) > LARGEST_ERROR:
        return {}
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(parsed, dict):
        return {}
    top = _lowered(parsed)
    if code(top):
        return top
    inner = (_lowered(value) for value in parsed.values() if isinstance(value, dict))
    return {**top, **next((each for each in inner if code(each)), {})}


def code(given: Mapping[str, object]) -> str:
    """The code among the fields of an error; empty if there is none."""
    return text(given, *_CODES)


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


def _lowered(parsed: Mapping[str, object]) -> dict[str, object]:
    return {name.lower(): value for name, value in parsed.items()}
