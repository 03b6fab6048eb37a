"""Which stored days may be deleted: judged by service data as well as the clock, so a wrong clock deletes nothing.

A clock that is years ahead, even for the hours until NTP corrects it, makes every day look old, and deleted days cannot
be requested again after 30 days. The service reports no plays of future days, so the days that it reports are a second
clock, which is never ahead. The file stays bounded: the data that makes it grow is the data that moves this clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.core import play_dates

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from exporter.core.model import SliceData

_DAY_SECONDS: Final = 86_400.0


def retention_cutoff(changed: Iterable[SliceData], now: float, retention: float) -> date | None:
    """The oldest play date to keep for `retention` seconds; None where no slice proves which day it is.

    Counted from `now` (seconds since 1970) or the end of the newest day that is confirmed, whichever is earlier.
    """
    confirmed = [data.slice.play_date for data in changed if _confirmed_past(data)]
    if not confirmed:
        return None
    latest = min(now, play_dates.start(max(confirmed)) + _DAY_SECONDS)
    return play_dates.today(max(latest - retention, 0.0))


def _confirmed_past(data: SliceData) -> bool:
    """Whether the day has plays or is settled without; a single response without plays is possible for a future day."""
    if any(record.row is not None for record in data.records.values()):
        return True
    freshness = [record.freshness for record in data.records.values()]
    freshness += [ranking.freshness for ranking in data.rankings.values()]
    return any(each.settled for each in freshness) or (data.listed is not None and data.listed.settled)
