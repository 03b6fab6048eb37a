"""How many plays a video is expected to have on a day, from the settled days before it, and how many it has lost."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

# Counted back like `days_ago` with the expected day as yesterday: that day is 1.
DAY_BEFORE: Final = 2
WEEK_BEFORE: Final = 8
DAY_BEFORE_THAT: Final = 9
DAYS_USED: Final = (DAY_BEFORE, WEEK_BEFORE, DAY_BEFORE_THAT)
# Of new media, where they are known; for the nearer ones that is so from the second day on.
DAYS_OF_NEW: Final = (DAY_BEFORE, 3, 4)
# Until yesterday is settled, the day before yesterday is the last settled day.
DAYS_KEPT: Final = tuple(sorted({ago + late for late in (0, 1) for ago in (1, *DAYS_USED)}))

# The usual step of a weekday is the median of at least so many media with at least so many plays.
_LEAST_MEDIA: Final = 5
_LEAST_PLAYS: Final = 50

# A video has dropped if it has less than this share of its expected plays, ...
DROPPED_BELOW: Final = 0.5
# ... and not if it has few: then chance decides.
LEAST_EXPECTED: Final = 100


def expected_plays(plays: Mapping[int, int | float | None], step: float | None = None) -> float | None:
    """The plays expected on a day, from those of settled days before it; None if b or w is not known.

    With b, w, v: plays on the day before, on the same weekday a week before, and on the day before that:

        min(w, b x min(1, w / v)); min(w, b) where v is 0 or not known

    New media lose plays from day to day, and most media have a weekly rhythm. A fall between these two weekdays a week
    ago may repeat, so it is expected; a rise is not. Never more plays are expected than a week before.

    New media have no such week. Where w and v are 0 or not known, with b2 and b3, plays two and three days before, and
    `step`, the usual one of these weekdays, it is instead, if all of them are known and above 0:

        min(b, b2, b3) x min(1, b / b2, b2 / b3) x step
    """
    before, week, step_from = (plays.get(ago) for ago in DAYS_USED)
    if step and is_new(plays):
        known = [count for ago in DAYS_OF_NEW if _is_count(count := plays.get(ago)) and count > 0]
        if len(known) == len(DAYS_OF_NEW):
            return min(known) * min(1, *(later / earlier for later, earlier in pairwise(known))) * step
    if not (_is_count(before) and _is_count(week)):
        return None
    if _is_count(step_from) and week < step_from:
        return min(week, before * (week / step_from))
    return min(week, before)


def is_new(plays: Mapping[int, int | float | None]) -> bool:
    """Whether a video had no plays on the days a week before, or they are not known."""
    return not plays.get(WEEK_BEFORE) and not plays.get(DAY_BEFORE_THAT)


def usual_step(weekdays: Iterable[tuple[float | None, float | None]]) -> float | None:
    """What media usually have of the plays of the day before: the median of w / v, 1 at most.

    `weekdays`: v and w of each video. None if fewer than five have at least 50 plays on the first of the two days.
    """
    steps = [
        after / before
        for before, after in weekdays
        if _is_count(before) and _is_count(after) and before >= _LEAST_PLAYS
    ]
    return min(1, median(steps)) if len(steps) >= _LEAST_MEDIA else None


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
