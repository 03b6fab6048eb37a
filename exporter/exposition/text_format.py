"""How the exposition formats spell label values, numbers and bytes; knows no metric.

What is written here reads the same in text 0.0.4, text 1.0.0 and OpenMetrics 1.0: all three escape a label value in the
same three places and take any other character as it is, control characters included.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# A lone surrogate is the one thing a Python string can hold and UTF-8 cannot; Prometheus refuses a whole scrape for it.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LARGEST: Final = sys.float_info.max


def replace_surrogates(value: str) -> str:
    """Give a text back as UTF-8 can carry it: U+FFFD stands for each lone surrogate, nothing else changes."""
    return _SURROGATE.sub("\ufffd", value)


def utf8(text: str) -> bytes:
    """Encode a text; U+FFFD stands for each lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return replace_surrogates(text).encode()


def escaped(value: str) -> str:
    r"""Spell a label value to stand between quotes: `\\`, `\"` and `\n`, everything else raw."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def escaped_each(values: Sequence[str]) -> Sequence[str]:
    """Spell many label values as `escaped` does; where none needs it, they are given back as they are."""
    together = "".join(values)
    return [escaped(value) for value in values] if any(mark in together for mark in '\\"\n') else values


def number(value: float) -> str:
    """Spell a sample's value: an integer with all its digits, a float as short as it reads back.

    What a 64-bit float cannot hold is `+Inf` or `-Inf`, as Prometheus would otherwise refuse the whole scrape.
    """
    if -_LARGEST <= value <= _LARGEST:
        return f"{value}"
    if value > 0:
        return "+Inf"
    return "-Inf" if value < 0 else "NaN"


def lines(before: str, middles: Sequence[str], after: str, values: Sequence[float]) -> bytes:
    """Spell samples that differ in the middle of their labels, a line each, as UTF-8.

    All at once takes less than half as long as one by one: two passes in C, and no object for each line.
    """
    if not values:
        return b""
    spelling, spelt = ("%a", values) if _are_finite(values) else ("%b", [number(value).encode() for value in values])
    if "%" in before or "%" in after or "%" in "".join(middles):
        before, middles, after = _doubled(before), list(map(_doubled, middles)), _doubled(after)
    after = f"{after} {spelling}\n"
    template = f"{before}{f'{after}{before}'.join(middles)}{after}"
    return utf8(template) % tuple(spelt)


def _doubled(text: str) -> str:
    return text.replace("%", "%%")


def _are_finite(values: Sequence[float]) -> bool:
    """Whether `number` spells all of them as Python does; it is doubted, too, where their sum is too large."""
    try:
        return sum(map(abs, values)) <= _LARGEST
    except OverflowError:
        return False
