"""JSON as we write it, and read again with every value checked: what does not fit is a TypeError or ValueError."""

from __future__ import annotations

import json
import math
from datetime import date
from typing import Any


def to_json(what: object, *, ascii_only: bool = True) -> str:
    """Compact JSON; ints of any size and floats come back as what they were. Refuses NaN and infinity."""
    return json.dumps(what, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"), check_circular=False)


def from_json(text: str) -> Any:
    """What the JSON holds, every value of it still to be checked."""
    return json.loads(text, parse_constant=_refused)


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def a_column(values: Any, types: set[type]) -> list[Any]:
    """Values of these very types (True is no int), finite."""
    if type(values) is not list or not types.issuperset(map(type, values)):
        raise TypeError("a column holds something else")
    if math.inf in values or -math.inf in values:  # JSON's 1e999
        raise ValueError("a column holds an infinity")
    return values


def a_text(value: Any) -> str:
    """A text, of any characters."""
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
    """Yes or no."""
    if type(value) is not bool:
        raise TypeError("not a yes or no")
    return value


def a_date(value: Any) -> date:
    """A day as `2024-03-23`, and no other of the ways that ISO 8601 knows."""
    day = date.fromisoformat(value)
    if day.isoformat() != value:
        raise ValueError("not a date as we write it")
    return day
