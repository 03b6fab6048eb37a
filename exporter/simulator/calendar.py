"""The service's calendar, days of UTC+8; apart from the exporter's on purpose, so that no error is in both."""

from __future__ import annotations

from datetime import date
from typing import Final

OLDEST_DAYS_AGO: Final = 30
"""The oldest day that may be requested ("仅支持查询过去 30 天以内的数据", Alibaba Cloud's page)."""

_DAY: Final = 86_400
# China has no daylight saving time.
_AHEAD_OF_UTC: Final = 8 * 3_600
_1970: Final = date(1970, 1, 1).toordinal()


def start_of_day(day: date) -> int:
    """00:00 UTC+8 of a day, in seconds since 1970."""
    return (day.toordinal() - _1970) * _DAY - _AHEAD_OF_UTC


def day_at(now: float, days_ago: int = 0) -> date:
    """The day in UTC+8 at `now` (seconds since 1970), or the one that many days before."""
    return date.fromordinal(_1970 + int((now + _AHEAD_OF_UTC) // _DAY) - days_ago)
