"""JSON, written and read with a check of every value: an unexpected one raises TypeError or ValueError."""

from __future__ import annotations

import json
import math
from datetime import date
from typing import Any


def to_json(value: object, *, ascii_only: bool = True) -> str:
    """Compact JSON; ints of any size and floats round-trip. Raises ValueError for NaN and infinity."""
    return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"), check_circular=False)


def from_json(text: str) -> Any:
    """The decoded JSON, whose values are not checked yet."""
    return json.loads(text, parse_constant=_refused)


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def a_column(values: Any, types: set[type]) -> list[Any]:
    """A list of finite values of exactly these types (True is no int)."""
    if type(values) is not list or not types.issuperset(map(type, values)):
        raise TypeError("a column has a value of another type")
    if math.inf in values or -math.inf in values:  # such as JSON's 1e999
        raise ValueError("a column has an infinite value")
    return values


def a_text(value: Any) -> str:
    """A text."""
    if type(value) is not str:
        raise TypeError("not a text")
    return value


def a_whole(value: Any) -> int:
    """A whole number from 0."""
    if type(value) is not int or value < 0:
        raise TypeError("not a whole number from 0")
    return value


def a_time(value: Any) -> float:
    """Seconds since 1970."""
    if type(value) not in {int, float} or not math.isfinite(value):
        raise TypeError("not a time")
    seconds: float = value
    return seconds


def a_flag(value: Any) -> bool:
    """True or false."""
    if type(value) is not bool:
        raise TypeError("not a boolean")
    return value


def a_date(value: Any) -> date:
    """A day as `2024-03-23`, in no other format of ISO 8601."""
    day = date.fromisoformat(value)
    if day.isoformat() != value:
        raise ValueError("not a date of the form YYYY-MM-DD")
    return day
