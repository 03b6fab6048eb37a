"""The invariants as pure functions from observations to violations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING, Final, Self

from exporter.core import play_dates
from exporter.core.model import ByIds, Dimensions, Everything, PlayRow, Slice, Top
from exporter.core.plan import plan_fetch
from tests.campaigns.faults.oracle import FIELDS
from tests.campaigns.soak.service_history import UNPLAYED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from exporter.core.model import Media, MediaRecord, Query, SliceData
    from exporter.simulator.dataset import Dataset
    from tests.campaigns.faults.scrapes import Labels, Scrape
    from tests.campaigns.soak.service_history import Returned, Row, Selection

# A day can be final 33 hours after its start, and is polled until it is no longer two days ago.
FINAL_HOURS: Final = 33
OWED_DAYS: Final = 3
PLAYS: Final = "aliyun_vod_media_plays"


@dataclass
class Findings:
    """The number of checked play rows, and the violations; `missing_days`: wants that had to be settled."""

    checked: int = 0
    missing_days: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __iadd__(self, other: Findings) -> Self:
        self.checked += other.checked
        self.missing_days += other.missing_days
        self.lost += other.lost
        self.wrong += other.wrong
        return self


# Scrapes.


def scraped(scrape: Scrape, returned: Returned, final: FinalNumbers) -> Findings:
    """Every row of a scrape was returned by the service; a row of a settled slice is the final one."""
    found = Findings(wrong=list(scrape.mistakes))
    today = play_dates.today(scrape.at)
    for labels, value in _samples(scrape, "aliyun_vod_play_date_timestamp_seconds"):
        if value != play_dates.start(today - timedelta(days=int(labels["days_ago"]))):
            found.wrong.append(f"on {today}, {labels['days_ago']} days ago began at {value}")
    settled = {
        _selection(labels, today) for labels, value in _samples(scrape, "aliyun_vod_slice_settled") if value == 1
    }
    published: dict[tuple[Selection, str], dict[str, float]] = {}
    for name in FIELDS:
        for sample in scrape.by_name.get(name, ()):
            place = _selection(sample.labels, today), sample.labels["media_id"]
            published.setdefault(place, {})[name] = sample.value
    for (selection, media_id), numbers in published.items():
        row = frozenset(numbers.items())
        found.checked += 1
        if not returned.ever(selection, media_id, row):
            found.wrong.append(f"shown, never returned: {selection[1]} {selection[0]} {media_id} {numbers}")
        elif selection in settled and row != final.row(selection, media_id):
            found.wrong.append(f"shown as settled, not final: {selection[1]} {selection[0]} {media_id} {numbers}")
    return found


def down(scrape: Scrape) -> list[str]:
    """The queries whose last poll was incomplete."""
    return [labels["query"] for labels, value in _samples(scrape, "aliyun_vod_query_up") if value != 1]


def _samples(scrape: Scrape, name: str) -> Iterable[tuple[Labels, float]]:
    return ((sample.labels, sample.value) for sample in scrape.by_name.get(name, ()))


def _selection(labels: Mapping[str, str], today: date) -> Selection:
    return _selection_of(labels["terminal_type"], labels["os"], labels["region"], labels["days_ago"], today)


# The same few recur in every line.
@lru_cache(maxsize=1000)
def _selection_of(terminal_type: str, os: str, region: str, days_ago: str, today: date) -> Selection:
    filters = (None if value == "all" else value for value in (terminal_type, os, region))
    return Dimensions(*filters), today - timedelta(days=int(days_ago))


# Storage.


class FinalNumbers:
    """The service's final numbers."""

    def __init__(self, catalogue: Dataset) -> None:
        self._catalogue = catalogue
        self._rows: dict[Selection, dict[str, Row]] = {}

    def row(self, selection: Selection, media_id: str) -> Row:
        return self._of(selection).get(media_id, UNPLAYED)

    def plays(self, selection: Selection) -> dict[str, float]:
        """The plays of every video that has any."""
        return {media_id: dict(row)[PLAYS] for media_id, row in self._of(selection).items()}

    def _of(self, selection: Selection) -> dict[str, Row]:
        if selection not in self._rows:
            counted = self._catalogue.result_set(selection[1], selection[0], now=math.inf)
            self._rows[selection] = {counts.media.media_id: _row(counts.row()) for counts in counted}
        return self._rows[selection]


def _row(row: PlayRow | None) -> Row:
    if row is None:
        return UNPLAYED
    named = zip(
        FIELDS,
        (row.plays, row.viewers, row.plays_per_viewer, row.play_duration, row.play_duration_per_viewer),
        strict=True,
    )
    return frozenset((metric, value) for metric, value in named if value is not None)


ActiveQueries = tuple[float, "tuple[Query, ...]"]
"""Since when (seconds since 1970) something is requested, and what."""


def missing_days(history: Sequence[ActiveQueries], day: date) -> dict[Slice, set[Media]]:
    """What must be settled of a day three days ago: what was queried throughout the time since it could be final."""
    begins = play_dates.start(day) + FINAL_HOURS * 3600.0
    ends = play_dates.start(day + timedelta(days=OWED_DAYS))
    until = [since for since, _ in history[1:]] + [math.inf]
    web_access = [
        _wants(queries, day)
        for (since, queries), end in zip(history, until, strict=True)
        if since < ends and end > begins
    ]
    if not web_access or history[0][0] > begins:
        return {}
    always = set.intersection(*web_access)
    wants: dict[Slice, set[Media]] = {}
    for slice_, media in always:
        wants.setdefault(slice_, set()).add(media)
    return wants


def _wants(queries: Iterable[Query], day: date) -> set[tuple[Slice, Media]]:
    """The wants by media if named: another list of IDs may still contain it."""
    found: set[tuple[Slice, Media]] = set()
    for query in queries:
        if {1, 2} <= set(query.days_ago):
            for dimensions in query.dimensions:
                slice_ = Slice(query.account, dimensions, day)
                found |= {(slice_, media) for media in _each(query.media)}
    return found


def _each(media: Media) -> list[Media]:
    return [ByIds(frozenset([one])) for one in media.ids] if isinstance(media, ByIds) else [media]


def stored(
    slices: Iterable[SliceData], wants: Mapping[Slice, Iterable[Media]], final: FinalNumbers, now: float
) -> Findings:
    """What must be settled is stored as settled; every settled row is final."""
    found = Findings()
    known = {data.slice: data for data in slices}
    for data in known.values():
        selection = data.slice.dimensions, data.slice.play_date
        for media_id, record in data.records.items():
            found.checked += 1
            if record.freshness.settled and _row(record.row) != final.row(selection, media_id):
                found.wrong.append(f"settled, not final: {_named(data.slice, media_id)} {record.row}")
        if data.listed is not None and data.listed.settled and final.plays(selection).keys() != _rows(data.records):
            found.wrong.append(f"settled, other media than played: {_named(data.slice)}")
    for slice_, media in ((slice_, media) for slice_, every in wants.items() for media in every):
        data_or_none = known.get(slice_)
        found.missing_days += 1
        # A fresh row is not enough: it must be settled.
        if data_or_none is None or plan_fetch(media, data_or_none, math.inf, now):
            found.lost.append(f"not settled: {_named(slice_, str(media))}")
            continue
        missing = _final_media(media, slice_, final) - _rows(data_or_none.records)
        found.lost += [f"settled without a row: {_named(slice_, media_id)}" for media_id in sorted(missing)]
    return found


def _rows(records: Mapping[str, MediaRecord]) -> set[str]:
    return {media_id for media_id, record in records.items() if record.row is not None}


def _final_media(media: Media, slice_: Slice, final: FinalNumbers) -> set[str]:
    """The wanted media with plays in the final numbers."""
    played = final.plays((slice_.dimensions, slice_.play_date))
    match media:
        case ByIds(ids):
            return {*ids} & played.keys()
        case Top(n, _):
            # A video at the end of the top may be missing if another has equally many plays.
            least = sorted(played.values(), reverse=True)[:n][-1] if played else 0
            return {media_id for media_id, plays in played.items() if plays > least}
        case Everything():
            return set(played)


def _named(slice_: Slice, what: str = "") -> str:
    return f"{slice_.play_date} {slice_.dimensions} {what}".strip()


# Growth.


def growth(values: Sequence[float]) -> float:
    """The growth of a value, robust against outliers: the lesser of two estimates.

    The difference of the medians of the first and last third; and the median slope between any two of thirty values.
    """
    if len(values) < 6:
        return 0.0
    third = len(values) // 3
    step = median(values[-third:]) - median(values[:third])
    some = [(at, values[at]) for at in range(0, len(values), max(1, len(values) // 30))]
    slopes = [(later - earlier) / (b - a) for (a, earlier), (b, later) in combinations(some, 2)]
    return min(step, median(slopes) * (len(values) - 1))
