"""What the service has returned so far, in the fields of the API; independent of the exporter's types."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# The metrics of one video in one slice, and the API field of each.
FIELDS: Final = {
    "aliyun_vod_media_plays": "PlaySuccessVv",
    "aliyun_vod_media_viewers": "DAU",
    "aliyun_vod_media_plays_per_viewer": "PlayPerVv",
    "aliyun_vod_media_play_duration_seconds": "PlayDuration",
    "aliyun_vod_media_play_duration_per_viewer_seconds": "PlayDurationPerUv",
}
ZEROS: Final = {
    "aliyun_vod_media_plays": 0.0,
    "aliyun_vod_media_viewers": 0.0,
    "aliyun_vod_media_play_duration_seconds": 0.0,
}
"""The numbers of a video without plays; it has none per viewer."""

Numbers = dict[str, float]
"""By metric; what was not given is not there."""
RowKey = tuple[str, str]
"""A play date as `yyyyMMdd` and a media ID."""


@dataclass(frozen=True, slots=True)
class Call:
    """The parameters of one request; `page` and `size` are 0 if it is not for play data.

    `action`, `query`: of a request for another action, the name and all parameters.
    """

    path: str
    date: str = ""
    page: int = 0
    size: int = 0
    media_id: str | None = None
    action: str = ""
    query: str = ""


@dataclass
class Returned:
    """Everything that the service returned; error responses do not count.

    `rows`: every row, in order. `values`: every number, by media. `absent`: media without plays, by a response for that
    media. `totals`: every TotalCount by date. `described`: titles and lengths by media. `whole`: complete listings by
    date.
    """

    rows: defaultdict[RowKey, list[Numbers]] = field(default_factory=lambda: defaultdict(list))
    values: defaultdict[str, set[tuple[str, float]]] = field(default_factory=lambda: defaultdict(set))
    absent: set[RowKey] = field(default_factory=set)
    totals: defaultdict[str, set[float]] = field(default_factory=lambda: defaultdict(set))
    described: defaultdict[str, set[float | str]] = field(default_factory=lambda: defaultdict(set))
    whole: defaultdict[str, list[frozenset[str]]] = field(default_factory=lambda: defaultdict(list))
    _listed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def record(self, call: Call, payload: Mapping[str, Any]) -> None:
        """Record a response that was sent completely."""
        rows = payload.get("QoeInfoList") or ()
        total = number(payload.get("TotalCount"))
        if total is not None:
            self.totals[call.date].add(total)
        for row in rows:
            returned = numbers(row)
            self.rows[call.date, row["MediaId"]].append(returned)
            self.values[row["MediaId"]].update(returned.items())
            self.described[row["MediaId"]] |= {row.get("VideoTitle") or "", number(row.get("VideoDuration")) or 0.0}
        listed = {row["MediaId"] for row in rows}
        if call.media_id is not None:
            if not listed:
                self.absent.add((call.date, call.media_id))
            return
        if call.page == 1:
            self._listed[call.date].clear()
        self._listed[call.date] |= listed
        if total is not None and len(self._listed[call.date]) >= total:
            self.whole[call.date].append(frozenset(self._listed[call.date]))

    def only_published(self, plays: Mapping[RowKey, Numbers]) -> Returned:
        """The same with only the published rows, and the last one that is not."""
        returned = Returned(absent=self.absent, totals=self.totals, described=self.described, whole=self.whole)
        for row_key, rows in self.rows.items():
            for row in [row for row in rows if row == plays.get(row_key)][:1] or rows[-1:]:
                returned.rows[row_key].append(row)
                returned.values[row_key[1]].update(row.items())
        return returned

    def zero(self, row_key: RowKey) -> bool:
        """Whether any response showed that the media had no plays on that date."""
        date, media_id = row_key
        return row_key in self.absent or any(media_id not in whole for whole in self.whole[date])


def numbers(row: Mapping[str, Any]) -> Numbers:
    """A row of the service by metric."""
    given = {metric: number(row.get(name)) for metric, name in FIELDS.items()}
    return {metric: value for metric, value in given.items() if value is not None}


def number(value: Any) -> float | None:
    """A number of the service, which may be written as a string."""
    return None if value is None else float(value)
