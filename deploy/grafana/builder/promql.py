"""The PromQL of the panels: the last settled day, the week before, titles; nothing about layout.

Two exporters may be scraped, so every selector is brought to one series per media and slice by `max` before
anything is added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PLAYS: Final = "aliyun_vod_media_plays"
SLICE_MEDIA: Final = "aliyun_vod_slice_media"

SLICE: Final = "account, terminal_type, os, region"
MEDIA: Final = "account, media_id, terminal_type, os, region"


@dataclass(frozen=True, slots=True)
class View:
    """The slices and media of a panel, as label matchers.

    `slices` are matchers of slice labels, `media` of media_id (empty: every media).
    """

    slices: str
    media: str = ""

    def on(self, metric: str, days_ago: str) -> str:
        """A metric about media or slices `days_ago`, one series per media and slice."""
        whole = metric.startswith("aliyun_vod_slice_")
        matchers = ", ".join(filter(None, (self.slices, "" if whole else self.media, f'days_ago="{days_ago}"')))
        return f"max by ({SLICE if whole else MEDIA}) ({metric}{{{matchers}}})"

    def last_settled(self, metric: str = PLAYS) -> str:
        """Yesterday where that is settled, else the day before where that is; else nothing, as for the alerts."""
        return self._either(metric, "1", "2")

    def week_before(self, metric: str = PLAYS) -> str:
        """The same weekday a week before the last settled day; nothing where there is no such day."""
        return self._either(metric, "8", "9")

    def last_settled_or_zero(self) -> str:
        """Plays of the last settled day, and 0 where a media of the week before is not among all that had plays.

        A media that has lost its last play has no row any more. That this is a zero, and not a media that fell out of
        a `top` query, is known where as many media are published as the service says had plays.
        """
        everything = View(self.slices)
        complete = f"count by ({SLICE}) (({everything.last_settled()}) > 0) >= ({everything.last_settled(SLICE_MEDIA)})"
        return f"{self.last_settled()}\nor\n0 * (({self.week_before()}) and on ({SLICE}) ({complete}))"

    def _either(self, metric: str, yesterday: str, day_before: str) -> str:
        is_settled, was_settled = (f"{self.on('aliyun_vod_slice_settled', days_ago)} == 1" for days_ago in "12")
        return (
            f"({self.on(metric, yesterday)} and on ({SLICE}) {is_settled})\n"
            f"or\n"
            f"({self.on(metric, day_before)} and on ({SLICE}) ({was_settled} unless {is_settled}))"
        )


def total(by: str, expr: str) -> str:
    """Plays, or seconds played, added up; never viewers or what is per viewer, which do not add up."""
    return f"sum by ({by}) (\n{expr}\n)" if by else f"sum(\n{expr}\n)"


def change(now: str, before: str) -> str:
    """The change as a ratio: -0.9 is nine tenths lost. Nothing where there was nothing before."""
    return f"(\n{now}\n) / ((\n{before}\n) > 0) - 1"


def last_settled_date(view: View) -> str:
    """00:00 UTC+8 of the last settled day, in milliseconds since 1970; of several accounts the newest."""
    yesterday, day_before = (
        f'max(aliyun_vod_play_date_timestamp_seconds{{days_ago="{days_ago}"}})' for days_ago in "12"
    )
    is_settled, was_settled = (f"max({view.on('aliyun_vod_slice_settled', days_ago)}) == 1" for days_ago in "12")
    return f"1000 * (({yesterday} and {is_settled}) or ({day_before} and {was_settled}))"


def share(by: str, expr: str) -> str:
    """The share of each value of a label, largest first."""
    return f"sort_desc({total(by, expr)} / scalar({total('', expr)}))"


def titled(expr: str, account: str) -> str:
    """`expr` (one series per media) with the media's title; an empty title where the service gave none."""
    info = f"topk by (account, media_id) (1, aliyun_vod_media_info{{{account}}})"
    nameless = f"0 * max by (account, media_id) ({PLAYS}{{{account}}}) + 1"
    return f"(\n{expr}\n)\n* on (account, media_id) group_left (title) ({info} or on (account, media_id) {nameless})"
