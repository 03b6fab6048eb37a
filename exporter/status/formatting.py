"""How numbers, times and texts from outside are written for people; knows no language but what it is given."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNKNOWN: Final = "\N{EN DASH}"
_LONGEST_TEXT: Final = 300
# Beyond that, digits say nothing that a power of ten does not.
_LARGEST_IN_DIGITS: Final = 1e15
_UNITS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
# They join the letters of some scripts, and emoji; all other invisible characters only deceive.
_JOINERS: Final = "\u200c\u200d"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def finite(value: float) -> float:
    """A number that a float holds: the service may say any."""
    try:
        return min(max(float(value), -sys.float_info.max), sys.float_info.max)
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max


def number(value: float | None) -> str:
    """`12,345`, `0.5`, `1.2e+20`."""
    if value is None:
        return UNKNOWN
    value = finite(value)
    if abs(value) >= _LARGEST_IN_DIGITS:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"


def percent(change: float | None) -> str:
    """`+12 %`, with a real minus; a change of more than a hundredfold as a factor."""
    if change is None:
        return UNKNOWN
    if change > 99:  # noqa: PLR2004 - from here on percent get unreadable
        return f"\N{MULTIPLICATION SIGN}{number(round(change + 1))}"
    rounded = round(change * 100)
    sign = "+" if rounded > 0 else "\N{MINUS SIGN}" if rounded < 0 else "\N{PLUS-MINUS SIGN}"
    return f"{sign}{abs(rounded)}\N{NARROW NO-BREAK SPACE}%"


def difference(count: float | None) -> str:
    """`+1,200`, with a real minus."""
    if count is None:
        return UNKNOWN
    sign = "+" if count > 0 else "\N{MINUS SIGN}" if count < 0 else "\N{PLUS-MINUS SIGN}"
    return f"{sign}{number(abs(count))}"


def ago(at: float | None, now: float, words: Mapping[str, str]) -> str:
    """`3 min ago`, `in 12 min`, in the words of a language."""
    if at is None:
        return words["never"]
    seconds = round(now - at)
    if seconds == 0:
        return words["now"]
    for unit, size in _UNITS:
        if abs(seconds) >= size:
            span = words[f"span_{unit}"].format(abs(seconds) // size)
            return words["ago" if seconds > 0 else "ahead"].format(span)
    raise AssertionError("a second is the smallest unit")  # pragma: no cover - 0 is done, the rest has a unit


def duration(seconds: float, words: Mapping[str, str]) -> str:
    """`15 min`, `1 d 12 h`, `0.25 s`, in the words of a language."""
    if seconds < 1 or (seconds < 60 and seconds != int(seconds)):  # noqa: PLR2004 - a minute
        return words["span_second"].format(f"{seconds:.3g}")
    left, parts = round(seconds), []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(words[f"span_{unit}"].format(count))
    return " ".join(parts)


def spans(numbers: Sequence[int], words: Mapping[str, str]) -> str:
    """Ascending numbers, those in a row as one: `0-2, 8, 9`."""
    runs: list[list[int]] = []
    for each in numbers:
        if runs and each == runs[-1][-1] + 1:
            runs[-1].append(each)
        else:
            runs.append([each])
    return words["list_separator"].join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else words["list_separator"].join(map(str, run))  # noqa: PLR2004 - two are no shorter
        for run in runs
    )


def instant(at: float) -> str:
    """`2026-11-22T19:38:49Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(at: float, words: Mapping[str, str]) -> str:
    """`2026-11-22 19:38:49 UTC`, in the time zone and words of a language."""
    zone = timezone(timedelta(hours=int(words["clock_hours"])))
    return words["clock"].format(datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S"))


def visible(text: str) -> str:
    """A text from outside without what cannot be seen or turns the writing around, and not longer than 300 letters."""
    text = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return "".join(c if c.isprintable() or c in _JOINERS else "\N{REPLACEMENT CHARACTER}" for c in text)


def encodable(text: str) -> str:
    """A text as UTF-8 can carry it: U+FFFD stands for each lone surrogate."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
