"""Counts work: a measure of time that no load, no coverage and no other machine changes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def steps(work: Callable[[], T]) -> tuple[T, int]:
    """The result, and how many calls and values of generators it takes; what one call of C takes counts as one."""
    counted = 0

    def count(*_: object) -> None:
        nonlocal counted
        counted += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        return work(), counted
    finally:
        sys.setprofile(before)
