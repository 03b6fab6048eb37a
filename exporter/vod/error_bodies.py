"""What a body says of an error, whatever its HTTP status; knows no action of the API."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_ERROR: Final = 64 * 1024
"""Bytes of a decoded body that says nothing but an error; nothing true is longer."""

_CODES: Final = ("code", "errorcode", "errcode")
_MESSAGES: Final = ("message", "errormessage", "errormsg", "msg", "error")
# Codes and messages of an answer that went well, in lower case.
_FINE_CODES: Final = frozenset({"200", "ok", "success"})
_FINE_MESSAGES: Final = frozenset({"", "ok", "success", "successful", "succeeded", "成功", "请求成功", "操作成功"})


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error in the service's words; `code` is empty where it gives none."""

    code: str
    message: str
    request_id: str


def find(body: bytes) -> ErrorBody | None:
    """The error in a body without any data; None where it reports success, or nothing at all.

    An error is a Code other than 200, OK or Success, in any case and as text or number; or `Success: false`; or a
    message with neither, which only errors have.
    """
    told = fields(body)
    error = ErrorBody(code(told).strip(), message(told), text(told, "requestid"))
    if error.code and error.code.lower() not in _FINE_CODES:
        return error
    success = told.get("success")
    if success is False or str(success).strip().lower() in {"false", "0"}:
        return replace(error, code="")
    if error.code or success is not None:
        return None
    odd_code = any(told.get(name) not in (None, "") for name in _CODES)
    return error if odd_code or error.message.strip().lower() not in _FINE_MESSAGES else None


def fields(body: bytes) -> Mapping[str, object]:
    """The fields of an error by name in lower case (both spellings occur); empty for HTML and everything else.

    Where there is no code, those of the object in it that has one come first.
    """
    if len(body) > LARGEST_ERROR:
        return {}
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    top = _lowered(told)
    if code(top):
        return top
    inner = (_lowered(value) for value in told.values() if isinstance(value, dict))
    return {**top, **next((each for each in inner if code(each)), {})}


def code(told: Mapping[str, object]) -> str:
    """The code among the fields of an error; empty where there is none."""
    return text(told, *_CODES)


def message(told: Mapping[str, object]) -> str:
    """The message among the fields of an error; empty where there is none."""
    return text(told, *_MESSAGES)


def text(told: Mapping[str, object], *names: str) -> str:
    """The first of these fields that is a text or a number and not empty; else nothing."""
    for name in names:
        value = told.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return ""


def _lowered(told: Mapping[str, object]) -> dict[str, object]:
    return {name.lower(): value for name, value in told.items()}
