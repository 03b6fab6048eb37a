"""How many plays a media is expected to have on a day, from the settled days before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

# Counted back like `days_ago` with the expected day as yesterday: that day is 1.
DAY_BEFORE: Final = 2
WEEK_BEFORE: Final = 8
DAY_BEFORE_THAT: Final = 9
DAYS_USED: Final = (DAY_BEFORE, WEEK_BEFORE, DAY_BEFORE_THAT)
# Until yesterday is settled, the day before yesterday is the last settled day.
DAYS_KEPT: Final = tuple(sorted({ago + late for late in (0, 1) for ago in (1, *DAYS_USED)}))


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
