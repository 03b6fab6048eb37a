"""Converts between timestamps, play dates (days of UTC+8) and days_ago, and says when a day can be final."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

# The API's page names no time zone; Alibaba Cloud's other statistics are by days of UTC+8, which has no daylight saving
# time.
PLAY_TIME_ZONE: Final = timezone(timedelta(hours=8), "UTC+8")
# "仅支持查询过去 30 天以内的数据" (Alibaba Cloud's page): the service returns data of the last 30 days.
OLDEST_DAYS_AGO: Final = 30


def today(now: float) -> date:
    """The play date of `now` (seconds since 1970)."""
    return datetime.fromtimestamp(now, UTC).astimezone(PLAY_TIME_ZONE).date()


def start(play_date: date) -> float:
    """00:00 UTC+8 of a play date, in seconds since 1970."""
    return datetime(play_date.year, play_date.month, play_date.day, tzinfo=PLAY_TIME_ZONE).timestamp()


def next_midnight(now: float) -> float:
    """The next 00:00 UTC+8 after `now`, when every `days_ago` moves by one; both in seconds since 1970."""
    return start(today(now) + timedelta(days=1))


def rest_of_day(now: float) -> float:
    """The part of the play date of `now` (seconds since 1970) that is left, 0 to 1."""
    return (next_midnight(now) - now) / 86_400


def play_date(now: float, days_ago: int) -> date:
    """The date that is `days_ago` days before the play date of `now` (seconds since 1970)."""
    return today(now) - timedelta(days=days_ago)


def days_ago(now: float, date_: date) -> int:
    """How many days before today a date is at `now` (seconds since 1970); negative in the future."""
    return (today(now) - date_).days


@dataclass(frozen=True, slots=True)
class Settlement:
    """When a play date is final: from `after` seconds after its start, once `unchanged` more polls find no change.

    The API's page does not say when a day is final. The default of `after` is 09:00 UTC+8 of the next day, the time
    that the pages of similar statistics name. A whole day later the service has computed the next play date too: then
    the first poll is enough.
    """

    after: float = 33 * 3600.0
    unchanged: int = 2

    def possible(self, play_date: date, now: float) -> bool:
        """Whether the service may have finished computing that day at `now` (seconds since 1970)."""
        return now >= start(play_date) + self.after

    def certain(self, play_date: date, now: float) -> bool:
        """Whether the service has finished computing that day at `now`, because it may have finished the next one."""
        return self.possible(play_date + timedelta(days=1), now)
