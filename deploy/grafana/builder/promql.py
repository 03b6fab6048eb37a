"""The PromQL of the panels: plays of the last settled day and those expected, days out of history, titles.

Two exporters may be scraped, so each selector becomes one series per media before anything is added up. Sums over media
are read from recording rules: they cost one series each, however many media there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ALL: Final = "all"  # the label value of a dimension without filter
DIMENSIONS: Final = {"terminal_type": "Terminal", "os": "OS", "region": "Region"}
CHOSEN: Final = ", ".join(f'{name}="${name}"' for name in DIMENSIONS)
"""The matchers of the variables of all dimensions."""

PLAYS: Final = "aliyun_vod_media_plays"
SETTLED_PLAYS: Final = "aliyun_vod_media_settled_plays"
EXPECTED_PLAYS: Final = "aliyun_vod_media_settled_plays_expected"
SETTLED_DATE: Final = "aliyun_vod_slice_settled_date_timestamp_seconds"
PLAY_DATE: Final = "aliyun_vod_play_date_timestamp_seconds"
SUM_OF_PLAYS: Final = "aliyun_vod:slice_plays:settled"
SUM_OF_EXPECTED: Final = "aliyun_vod:slice_plays:expected"
SUM_OF_LOST: Final = "aliyun_vod:slice_plays:lost"
SUM_OF_DAY: Final = "aliyun_vod:slice_plays:of_day"
# Of the media that lost and gained most.
LOST: Final = "aliyun_vod:media_plays:lost"
GAINED: Final = "aliyun_vod:media_plays:gained"
PLAYS_OF_MOVED: Final = "aliyun_vod:media_plays:moved"
TITLES_OF_MOVED: Final = "aliyun_vod:media_title:moved"
RULES_ARE_LOADED: Final = "aliyun_vod:plays:threshold"

SLICE: Final = "account, terminal_type, os, region"
_MEDIA: Final = "account, media_id"
# Series of an exporter that is behind or ahead: two days are never mixed.
_OF_ONE_DAY: Final = "unless ignoring (media_id) aliyun_vod:slice_settled_date:other"
_TO: Final = "${__to:date:seconds}"  # the end of the selected time range
_DAY: Final = 86_400


def yesterday() -> str:
    """00:00 UTC+8 of yesterday, in seconds since 1970."""
    return f"(time() - (time() + 28800) % {_DAY} - {_DAY})"


@dataclass(frozen=True, slots=True)
class View:
    """The media and slices of a panel, as label matchers: of scraped series, and of those that rules record."""

    account: str
    filters: str
    media: str = ""

    def scraped(self, metric: str, *more: str) -> str:
        """A selector of series about media or slices."""
        media = "" if "_slice_" in metric else self.media
        matchers = ", ".join(filter(None, (self.account, 'job=~"$job"', self.filters, media, *more)))
        return f"{metric}{{{matchers}}}"

    def recorded(self, metric: str, *more: str) -> str:
        """A selector of series that rules record about slices and media of slices; these have no job."""
        return f"{metric}{{{', '.join((self.account, self.filters, *more))}}}"

    def settled(self, metric: str = SETTLED_PLAYS) -> str:
        """Plays of the last settled day, or those expected, one series per media."""
        return f"max by ({_MEDIA}) ({self.scraped(metric)} {_OF_ONE_DAY})"

    def lost(self) -> str:
        """Expected plays - plays, one series per media; negative where it gained. Both are of one exporter and day."""
        return f"max by ({_MEDIA}) ({self.scraped(EXPECTED_PLAYS)} - {self.scraped(SETTLED_PLAYS)} {_OF_ONE_DAY})"

    def on_day(self, metric: str, days_ago: int) -> str:
        """A metric of the day so many days ago, one series per media; it may still change."""
        return f"max by ({_MEDIA}) ({self.scraped(metric, ago(days_ago))})"

    def week_before(self) -> str:
        """Plays a week before the last settled day, if that is yesterday or the day before; one series per media."""
        days = (
            f"{self.on_day(PLAYS, days_ago)} and on (account) ({self.date()} - {7 * _DAY} == on () group_left () "
            f'max({PLAY_DATE}{{job=~"$job", {ago(days_ago)}}}))'
            for days_ago in (8, 9)
        )
        return f"(({' or '.join(days)}) and on ({_MEDIA}) {self.settled()})"

    def date(self) -> str:
        """00:00 UTC+8 of the last settled day, in seconds since 1970, by account."""
        return f"max by (account) ({self.scraped(SETTLED_DATE)})"

    def settled_by_date(self, selector: str, *, dated: bool = False) -> str:
        """By date, what was true of the last settled day while it was that.

        It is so from about 09:00 of the next day on for 24 hours. What was recorded then about another day is left out:
        until that day settled, those hours are still of the day before, in a series of its own where it is `dated`.
        """
        past = "[1d] offset -57h"
        date = _of_this_step(f"max by (account) (last_over_time({self.scraped(SETTLED_DATE)}{past}))")
        if dated:
            # Their label is midnight UTC of that day.
            dates = f'count_values by (account) ("date", {date} + 28800)'
            return f"max by (account) (last_over_time({selector}{past})\nand on (account, date) {dates})"
        return f"max by (account) (last_over_time({selector}{past}))\nand on (account) {date}"

    def by_date(self, metric: str, *, final: bool) -> str:
        """By date, a metric of one video, of days that are final or that may still change.

        Of the days that are published now it is the newest value; of others, what Prometheus scraped last while the
        day was yesterday.
        """
        published = f"max by (days_ago) ({self.scraped(metric)} @ {_TO})"
        date = f"(max by (days_ago) (aliyun_vod_play_date_timestamp_seconds @ {_TO}))"
        is_settled = f"max by (days_ago) ({self.scraped('aliyun_vod_slice_settled')} @ {_TO}) == 1"
        now = f"{published} and on (days_ago) {_of_this_step(date)}"
        if not final:
            return f"max({now} unless on (days_ago) {is_settled})"
        yesterday_then = f"[{_DAY - 1}s] offset -{2 * _DAY - 1}s"
        past = f"max(last_over_time({self.scraped(metric, ago(1))}{yesterday_then}))"
        date_then = f'max(last_over_time(aliyun_vod_play_date_timestamp_seconds{{days_ago="1"}}{yesterday_then}))'
        return (
            f"max({now} and on (days_ago) {is_settled})\n"
            f"or on () (\n{past} and on () {_of_this_step(date_then)} unless on () ({now})\n)"
        )


def ago(days_ago: int) -> str:
    """The matcher of a day."""
    return f'days_ago="{days_ago}"'


def _of_this_step(date: str) -> str:
    """A date, where a step of a day begins with it."""
    return f"(({date} > time() - {_DAY}) <= time())"


def titled(expr: str, titles: str) -> str:
    """`expr` (one series per video, few of them) with the video's title, or its ID where the service gave none."""
    nameless = f'label_replace({expr} ^ 0, "title", "$1", "media_id", "(.*)")'
    known = f"topk by ({_MEDIA}) (1, {titles} and on ({_MEDIA}) {expr})"
    return f"{expr}\n* on ({_MEDIA}) group_left (title) (\n{known}\nor on ({_MEDIA}) {nameless}\n)"


def per_dimension(account: str, expr: Callable[[View], str]) -> str:
    """`expr` of the values of each dimension; the filters of the other two dimensions apply."""
    parts = []
    for dimension in DIMENSIONS:
        filters = ", ".join(f'{name}!="{ALL}"' if name == dimension else f'{name}="${name}"' for name in DIMENSIONS)
        parts.append(expr(View(account, filters)))
    return "\nor\n".join(parts)


def named_slice(expr: str) -> str:
    """`expr` (series of slices) with the label `slice`: its filters without those that are `all`, as in alerts."""
    joined = f'label_join(\n{expr},\n"slice", " ", "terminal_type", "os", "region")'
    return f'max by (account, slice) (label_replace({joined}, "slice", "$1", "slice", "(?:all )*(.+?)(?: all)*"))'


def or_zero(count: str, *known: str) -> str:
    """A count, and 0 where nothing is counted though the rules run."""
    return f"{count} or on () 0 * count({', '.join(known) or RULES_ARE_LOADED})"
