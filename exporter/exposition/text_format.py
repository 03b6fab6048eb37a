"""Label values, numbers and sample lines in the exposition formats; independent of metrics.

The output is valid in text 0.0.4, text 1.0.0 and OpenMetrics 1.0: all three escape the same three characters in a label
value and accept any other one unescaped, control characters included.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import msgspec

from exporter.safe_text import replace_surrogates

if TYPE_CHECKING:
    from collections.abc import Sequence

_LARGEST: Final = sys.float_info.max
# In JSON by msgspec: an exponent, or zeros where Python writes one.
_EXPONENTS: Final = (b"e", b"0.0000")


def utf8(text: str) -> bytes:
    """Encode text as UTF-8, each lone surrogate as U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return replace_surrogates(text).encode()


def escaped(value: str) -> str:
    r"""Escape a label value for use between quotes: `\\`, `\"` and `\n`, nothing else."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def escaped_each(values: Sequence[str]) -> Sequence[str]:
    """Escape many label values as `escaped` does; where none needs it, the same sequence is returned."""
    together = "".join(values)
    return [escaped(value) for value in values] if any(mark in together for mark in '\\"\n') else values


def number(value: float) -> str:
    """Format a sample value: an integer with all digits, a float with the fewest digits that round-trip.

    What exceeds a 64-bit float is `+Inf` or `-Inf`: otherwise Prometheus would reject the whole scrape.
    """
    if -_LARGEST <= value <= _LARGEST:
        return f"{value}"
    if value > 0:
        return "+Inf"
    return "-Inf" if value < 0 else "NaN"


def lines(before: str, middles: Sequence[str], after: str, values: Sequence[float]) -> bytes:
    """Format samples that differ in the middle of their labels, one line each, as UTF-8."""
    # One join, without a string for each line.
    parts = [before, "", f"{after} ", "", "\n"] * len(values)
    parts[1::5] = middles
    parts[3::5] = _numbers(values)
    return utf8("".join(parts))


def _numbers(values: Sequence[float]) -> Sequence[str]:
    """Format many sample values as `number` does."""
    if values and _are_finite(values):
        # msgspec takes a fifth of the time of Python; only numbers that need an exponent differ, in its spelling.
        together = msgspec.json.encode(values)
        if not any(mark in together for mark in _EXPONENTS):
            return together[1:-1].decode().split(",")
    return list(map(number, values))


def _are_finite(values: Sequence[float]) -> bool:
    """Whether no value exceeds a 64-bit float; also False where only their sum does."""
    try:
        return sum(map(abs, values)) <= _LARGEST
    except OverflowError:
        return False
