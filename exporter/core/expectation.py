"""How many plays a video is expected to have on a day, from the settled days before it, and how many it has lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Counted back like `days_ago` with the expected day as yesterday: that day is 1.
DAY_BEFORE: Final = 2
WEEK_BEFORE: Final = 8
DAY_BEFORE_THAT: Final = 9
DAYS_USED: Final = (DAY_BEFORE, WEEK_BEFORE, DAY_BEFORE_THAT)
# Until yesterday is settled, the day before yesterday is the last settled day.
DAYS_KEPT: Final = tuple(sorted({ago + late for late in (0, 1) for ago in (1, *DAYS_USED)}))

# A video has dropped if it has less than this share of its expected plays, ...
DROPPED_BELOW: Final = 0.5
# ... and not if it has few: then chance decides.
LEAST_EXPECTED: Final = 100


def expected_plays(plays: Mapping[int, int | float | None]) -> float | None:
    """The plays expected on a day, from those of settled days before it; None if b or w is not known.

    With b, w, v: plays on the day before, on the same weekday a week before, and on the day before that:

        min(w, b x min(1, w / v)); min(w, b) where v is 0 or not known

    New media lose plays from day to day, and most media have a weekly rhythm. A fall between these two weekdays a week
    ago may repeat, so it is expected; a rise is not. Never more plays are expected than a week before.
    """
    before, week, step_from = (plays.get(ago) for ago in DAYS_USED)
    if not (_is_count(before) and _is_count(week)):
        return None
    if _is_count(step_from) and week < step_from:
        return min(week, before * (week / step_from))
    return min(week, before)


def _is_count(plays: float | None) -> TypeGuard[float]:
    """Whether it is a valid number of plays: known, finite and not negative."""
    return plays is not None and 0 <= plays < float("inf")


def lost_plays(plays: float, expected: float | None) -> int | float | None:
    """Expected plays less plays, negative for a gain; None without an expectation."""
    return None if expected is None else expected - plays


def has_dropped(plays: float, expected: float | None) -> bool:
    """Whether a video lost more than half of at least 100 expected plays."""
    return expected is not None and expected >= LEAST_EXPECTED and plays < DROPPED_BELOW * expected


def loss_order(plays: float | None, lost: float | None, *names: str) -> tuple[Any, ...]:
    """Sort key: most lost plays first; those without an expectation last, the most played first; then by names."""
    return lost is None, -(lost or 0), -(plays or 0), *names
