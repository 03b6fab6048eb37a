"""Format numbers, times and external texts for people; the words of the language are parameters."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from exporter.safe_text import SPACES, printable, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

UNKNOWN: Final = "\N{EN DASH}"
_LONGEST_TEXT: Final = 300
# Larger numbers are shown with an exponent.
_LARGEST_IN_DIGITS: Final = 1e15
_UNITS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
# They join letters of some scripts, and emoji; other invisible characters can make a text look like another.
_JOINERS: Final = "\u200c\u200d"


def finite(value: float) -> float:
    """Convert to the nearest finite float: numbers of the service may be of any size."""
    try:
        return min(max(float(value), -sys.float_info.max), sys.float_info.max)
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max


def number(value: float | None) -> str:
    """Format a number as `12,345`, `0.5` or `1.2e+20`."""
    if value is None:
        return UNKNOWN
    value = finite(value)
    if abs(value) >= _LARGEST_IN_DIGITS:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"


def percent(change: float | None) -> str:
    """Format a relative change as `+12 %`, with U+2212 as minus; above a hundredfold as a factor."""
    if change is None:
        return UNKNOWN
    if change > 99:  # noqa: PLR2004 - larger percentages are hard to read
        return f"\N{MULTIPLICATION SIGN}{number(round(change + 1))}"
    rounded = round(change * 100)
    sign = "+" if rounded > 0 else "\N{MINUS SIGN}" if rounded < 0 else "\N{PLUS-MINUS SIGN}"
    return f"{sign}{abs(rounded)}\N{NARROW NO-BREAK SPACE}%"


def difference(count: float | None) -> str:
    """Format a difference as `+1,200`, with U+2212 as minus."""
    if count is None:
        return UNKNOWN
    sign = "+" if count > 0 else "\N{MINUS SIGN}" if count < 0 else "\N{PLUS-MINUS SIGN}"
    return f"{sign}{number(abs(count))}"


def ago(at: float | None, now: float, words: Mapping[str, str]) -> str:
    """Format an instant relative to `now` as `3 min ago` or `in 12 min`."""
    if at is None:
        return words["never"]
    seconds = round(now - at)
    if seconds == 0:
        return words["now"]
    for unit, size in _UNITS:
        if abs(seconds) >= size:
            span = words[f"span_{unit}"].format(abs(seconds) // size)
            return words["ago" if seconds > 0 else "ahead"].format(span)
    raise AssertionError("a second is the smallest unit")  # pragma: no cover - 0 returned above


def duration(seconds: float, words: Mapping[str, str]) -> str:
    """Format a duration as `15 min`, `1 d 12 h` or `0.25 s`."""
    if seconds < 1 or (seconds < 60 and seconds != int(seconds)):  # noqa: PLR2004 - a minute
        return words["span_second"].format(f"{round(seconds, 3):.3g}")
    left, parts = round(seconds), []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(words[f"span_{unit}"].format(count))
    return " ".join(parts)


def spans(numbers: Sequence[int], words: Mapping[str, str]) -> str:
    """Format ascending numbers with ranges: `0-2, 8, 9`."""
    runs: list[list[int]] = []
    for each in numbers:
        if runs and each == runs[-1][-1] + 1:
            runs[-1].append(each)
        else:
            runs.append([each])
    return words["list_separator"].join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else words["list_separator"].join(map(str, run))  # noqa: PLR2004 - a range of two is not shorter
        for run in runs
    )


def instant(at: float) -> str:
    """Format seconds since 1970 as `2026-11-22T19:38:49Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(at: float, words: Mapping[str, str]) -> str:
    """Format seconds since 1970 as `2026-11-22 19:38:49 UTC`, in the time zone of the language."""
    zone = timezone(timedelta(hours=int(words["clock_hours"])))
    return words["clock"].format(datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S"))


def dated(play_date: date, words: Mapping[str, str]) -> str:
    """Format a play date with its weekday: `Sat 2024-03-23`."""
    return words["dated"].format(date=play_date.isoformat(), weekday=words["weekdays"].split()[play_date.weekday()])


def visible(text: str) -> str:
    """Replace invisible and direction-changing characters of an external text, and cut it to 300 characters."""
    return printable(shortened(text, _LONGEST_TEXT), keep=_JOINERS + SPACES)
