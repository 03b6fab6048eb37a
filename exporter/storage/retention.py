"""Which days are old enough to be forgotten: what the service answers must make them so, never the clock alone.

A clock that is years ahead for a moment, or for the hours until NTP mends it, makes every day look old, and what is
deleted cannot be asked for again after 30 days. The service tells of no play before it happens, so the days it tells of
are a second clock, one that is never ahead. Files do not grow for that: what makes one longer is what forgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.core import play_dates

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from exporter.core.model import SliceData

_DAY_SECONDS: Final = 86_400.0


def retention_cutoff(learnt: Iterable[SliceData], now: float, retention: float) -> date | None:
    """The oldest play date to keep for `retention` seconds; None where nothing that was learnt says which day it is.

    Counted from `now` (seconds since 1970) or the end of the newest day that has certainly come, whichever is earlier.
    """
    come = [data.slice.play_date for data in learnt if _confirmed_past(data)]
    if not come:
        return None
    latest = min(now, play_dates.start(max(come)) + _DAY_SECONDS)
    return play_dates.today(max(latest - retention, 0.0))


def _confirmed_past(data: SliceData) -> bool:
    """Whether there are plays, or no plays so often that it is final; one "no plays" can be said of a day to come."""
    if any(answer.row is not None for answer in data.answers.values()):
        return True
    freshness = [answer.freshness for answer in data.answers.values()]
    freshness += [ranking.freshness for ranking in data.rankings.values()]
    return any(each.settled for each in freshness) or (data.listed is not None and data.listed.settled)
