"""A noun in the number that fits a count, for lines that people read."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """The noun for `count` things: `slice` or `slices`, `query` or `queries`."""
    if count == 1:
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"


def counted(count: int, noun: str) -> str:
    """The count with its noun: `1 slice`, `1,200 slices`."""
    return f"{count:,} {plural(count, noun)}"
