"""Finds rows of earlier polls that a listing left out because they tie with the last row of a page."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.row_comparison import same_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.model import Measure, PlayRow, SliceData
    from exporter.core.play_dates import Settlement


@dataclass(frozen=True, slots=True)
class EarlierRows:
    """Rows of earlier polls of a day that can be final: candidates for rows that a listing left out.

    A service that orders equal rows differently for each page returns some of them twice and others not at all. Only
    rows with the same value as the last row of a page can be missing for this reason.

    * `rows`: by media ID.
    * `total`: the number of rows in the result set at that time.
    * `ranked`: the media of the last ranking by each measure.
    """

    rows: Mapping[str, PlayRow] = field(default_factory=dict)
    total: int | None = None
    ranked: Mapping[Measure, frozenset[str]] = field(default_factory=dict)

    def left_out(
        self, by: Measure, read: Mapping[str, PlayRow], total: int | None, page_ends: Iterable[float]
    ) -> dict[str, PlayRow]:
        """Earlier rows missing from `read` that have the same value as one of `page_ends`, the last rows of the pages.

        Empty unless `total` is the same as before.
        """
        ends = sorted(set(page_ends))
        if total is None or total != self.total or not ends:
            return {}
        return {
            media_id: row
            for media_id, row in self.rows.items()
            if media_id not in read and _is_among(value(row, by), ends)
        }


NO_EARLIER_ROWS: Final = EarlierRows()


def earlier_rows(known: SliceData | None, settlement: Settlement, since: float, now: float) -> EarlierRows:
    """The rows observed since the day could be final, but not before `since` (seconds since 1970)."""
    if known is None or not settlement.possible(known.slice.play_date, now):
        return NO_EARLIER_ROWS
    first = max(since, play_dates.start(known.slice.play_date) + settlement.after)
    return EarlierRows(
        {
            media_id: record.row
            for media_id, record in known.records.items()
            if record.row is not None and first <= record.freshness.observed_at
        },
        known.total,
        {by: frozenset(ranking.media_ids) for by, ranking in known.rankings.items()},
    )


def value(row: PlayRow, by: Measure) -> float:
    """The number by which the service orders rows; 0 where it is not given."""
    number: float | None = getattr(row, by.value)
    return number or 0.0


def _is_among(number: float, ordered: list[float]) -> bool:
    place = bisect_left(ordered, number)
    return any(same_number(number, end) for end in ordered[max(0, place - 1) : place + 1])
