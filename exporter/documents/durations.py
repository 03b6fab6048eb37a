"""Durations as Prometheus writes them (`1h30m`, `500ms`, `0`) to seconds and back; knows no settings."""

from __future__ import annotations

import re
from typing import Final

# Prometheus' units, largest first, in milliseconds: a year is 365 days, a week 7.
_UNITS: Final = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
# Prometheus writes years, weeks and days only where nothing is left over: 33h stays 33h.
_ONLY_WHOLE: Final = ("y", "w", "d")
# What fits Prometheus' own durations, 64 bits of nanoseconds.
_LONGEST: Final = (2**63 - 1) // 1_000_000

# A regular expression editors understand too (ECMA 262), for the JSON schema.
PATTERN: Final = "^(?:0|(?=[0-9])" + "".join(f"(?:[0-9]+{unit})?" for unit in _UNITS) + ")$"
_PATTERN: Final = re.compile(PATTERN, re.ASCII)
_PART: Final = re.compile(r"([0-9]+)([a-z]+)")


def parse(text: str) -> float:
    """Parse a duration such as `15m` to seconds. Raises ValueError with a sentence that says what is allowed."""
    if not _PATTERN.fullmatch(text):
        raise ValueError("must be a duration such as 30s, 15m, 1h30m or 2d")
    digits = [(amount.lstrip("0"), unit) for amount, unit in _PART.findall(text)]
    # Check the number of digits first: int() raises for numbers of some thousand digits.
    if any(len(amount) > len(str(_LONGEST)) for amount, _ in digits):
        raise ValueError("is longer than a duration can be (292 years)")
    milliseconds = sum(int(amount or "0") * _UNITS[unit] for amount, unit in digits)
    if milliseconds > _LONGEST:
        raise ValueError("is longer than a duration can be (292 years)")
    return milliseconds / 1_000


def to_text(seconds: float) -> str:
    """Format seconds (not negative, rounded to milliseconds) as Prometheus does: 5400 is `1h30m`."""
    left = round(seconds * 1_000)
    parts = []
    for unit, size in _UNITS.items():
        if unit in _ONLY_WHOLE and left % size:
            continue
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0"
