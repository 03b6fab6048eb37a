"""Compares plays with those expected: how many are lost, whether that is a drop, and the order by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import Any

# A media has dropped if it has less than this share of its expected plays, ...
DROPPED_BELOW: Final = 0.5
# ... and not if it has few: then chance decides.
LEAST_EXPECTED: Final = 100


def lost_plays(plays: float, expected: float | None) -> int | float | None:
    """Expected plays less plays, negative for a gain; None without an expectation."""
    return None if expected is None else expected - plays


def has_dropped(plays: float, expected: float | None) -> bool:
    """Whether a media lost more than half of at least 100 expected plays."""
    return expected is not None and expected >= LEAST_EXPECTED and plays < DROPPED_BELOW * expected


def loss_order(plays: float | None, lost: float | None, *names: str) -> tuple[Any, ...]:
    """Sort key: most lost plays first; those without an expectation last, the most played first; then by names."""
    return lost is None, -(lost or 0), -(plays or 0), *names
