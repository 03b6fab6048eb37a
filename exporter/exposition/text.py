"""How the exposition formats spell label values, numbers and bytes; knows no metric.

What is written here reads the same in text 0.0.4, text 1.0.0 and OpenMetrics 1.0: all three escape a label value in the
same three places and take any other character as it is, control characters included.
"""

from __future__ import annotations

import re
import sys
from typing import Final

# A lone surrogate is the one thing a Python string can hold and UTF-8 cannot; Prometheus refuses a whole scrape for it.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LARGEST: Final = sys.float_info.max


def legible(value: str) -> str:
    """Give a text back as UTF-8 can carry it: U+FFFD stands for each lone surrogate, nothing else changes."""
    return _SURROGATE.sub("\ufffd", value)


def utf8(text: str) -> bytes:
    """Encode a text; U+FFFD stands for each lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return legible(text).encode()


def escaped(value: str) -> str:
    r"""Spell a label value to stand between quotes: `\\`, `\"` and `\n`, everything else raw."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def number(value: float) -> str:
    """Spell a sample's value: an integer with all its digits, a float as short as it reads back.

    What a 64-bit float cannot hold is `+Inf` or `-Inf`, as Prometheus would otherwise refuse the whole scrape.
    """
    if -_LARGEST <= value <= _LARGEST:
        return f"{value}"
    if value > 0:
        return "+Inf"
    return "-Inf" if value < 0 else "NaN"
