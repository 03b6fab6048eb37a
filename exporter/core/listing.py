"""The rows of a listing: what its pages contain, whether it is complete, and which earlier rows it left out."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.fields import preferred_row, same_number, same_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.model import Measure, Page, PlayRow, SliceData
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


class Listing:
    """The rows of one order read so far; `n` is how many rows are wanted, None for all.

    * `number`: pages read; after a first reading that lacks rows, counted again for the second one.
    * `ended`: the end of the result set was reached.
    * `doubled`: additional rows of media that have several rows in the result set, because they were on one page or
      both readings returned the same two. `conflicts`: the media whose rows differ.
    * `skipped`: rows without a usable media ID.
    * `inconsistent`: the rows read and the `earlier` ones that may be missing are more than the service counts.
    """

    def __init__(self, by: Measure, size: int, n: int | None, earlier: EarlierRows = NO_EARLIER_ROWS) -> None:
        self.by = by
        self.n = n
        self.rows: dict[str, PlayRow] = {}
        self.total: int | None = None
        self.ended = False
        self.number = 0
        self._size = size
        self._rows_seen = 0
        self._is_second_reading = False
        self._earlier = earlier
        self._first_reading: dict[str, PlayRow] = {}
        self._page_ends: list[float] = []
        self._pairs: dict[str, tuple[PlayRow, PlayRow]] = {}  # two rows on different pages
        self._first_pairs: dict[str, tuple[PlayRow, PlayRow]] = {}
        self._repeats: list[PlayRow] = []
        self._left_out: dict[str, PlayRow] = {}
        self.skipped = self.doubled = 0
        self.conflicts: set[str] = set()
        self.inconsistent = False

    def add(self, page: Page) -> bool:
        """Store the rows of the next page and check whether it is the last; False: read again from the first page."""
        self.number += 1
        length = len(page.rows) + page.skipped
        self._rows_seen += length
        # A total below the rows read so far contradicts them and the total before it.
        if page.total_count is not None and page.total_count >= min(self.total or 0, self._rows_seen):
            self.total = page.total_count
        self.skipped += page.skipped
        known = len(self.rows)
        self._keep(page.rows)
        full = length >= self._size
        # A page shorter than requested is not the end while rows are missing; full pages may continue beyond the total.
        # A page without a new row is the end: a service that repeats a page would repeat it forever.
        total, nothing_new = self.total, len(self.rows) == known
        self.ended = nothing_new or not (full if total is None or self._rows_seen > total else self._rows_seen < total)
        if not self.ended:
            return True
        self._account()
        # Rows that moved between pages during the first reading usually appear in a second one. After an empty page a
        # second reading is pointless.
        if self._is_second_reading or not (self.short_by and length):
            return True
        self._begin_again()
        return False

    def _keep(self, rows: tuple[PlayRow, ...]) -> None:
        of_this_page: set[str] = set()
        for row in rows:
            media_id = row.media_id
            known = self.rows.get(media_id)
            if known is None:
                self.rows[media_id] = row
            else:
                self._keep_one(known, row, same_page=media_id in of_this_page)
            of_this_page.add(media_id)
        if rows:
            self._page_ends.append(value(rows[-1], self.by))

    def _keep_one(self, known: PlayRow, row: PlayRow, *, same_page: bool) -> None:
        """Store a further row of a video that has one: in the same page, or in an earlier one."""
        same = same_row(known, row)
        if same_page:
            self.doubled += 1
            if not same:
                self.conflicts.add(row.media_id)
        elif same:
            self._repeats.append(row)
        else:
            self._pairs[row.media_id] = known, row
        self.rows[row.media_id] = preferred_row(known, row)

    def _account(self) -> None:
        """At the end of a reading: count media that really have two rows, and find the rows that were left out."""
        if self._is_second_reading:
            self.rows = {**self.rows, **{m: row for m, row in self._first_reading.items() if m not in self.rows}}
        for media_id, pair in self._pairs.items():
            before = self._first_pairs.get(media_id)
            if before is not None and all(map(same_row, before, pair)):
                self.doubled += 1
                self.conflicts.add(media_id)
        if self.total is not None and self._accounted < self.total:
            self._left_out = self._earlier.left_out(self.by, self.rows, self.total, self._page_ends)
            self.inconsistent = self._accounted + len(self._left_out) > self.total
            if self.inconsistent:
                self._left_out = {}

    def _begin_again(self) -> None:
        self._is_second_reading = True
        self._first_reading, self.rows = self.rows, {}
        self._first_pairs, self._pairs = self._pairs, {}
        self._left_out = {}
        self._repeats.clear()
        self.conflicts.clear()
        self.number = self._rows_seen = self.skipped = self.doubled = 0
        self.ended = self.inconsistent = False

    @property
    def _accounted(self) -> int:
        """How many of the rows in the service's total were read."""
        return len(self.rows) + self.doubled + self.skipped

    @property
    def all_rows(self) -> dict[str, PlayRow]:
        """The rows read, plus the ones left out if the listing is complete with them."""
        return {**self.rows, **self._left_out} if self._left_out and self.complete else self.rows

    def first(self, n: int) -> tuple[dict[str, PlayRow], bool]:
        """The top `n` rows, best first, and whether the top is certain: no row that belongs to it can be missing.

        In the service's order. On a day that can be final, earlier rows that were left out are added, and of the rows
        that tie with the last one, those of the previous top are preferred.
        """
        rows, edge = list(self.rows.values()), 0.0
        values = [round(value(row, self.by), 6) for row in rows]
        ordered = all(a >= b for a, b in pairwise(values))
        if not self._earlier.rows or not ordered or self._earlier.total != self.total:
            return {row.media_id: row for row in rows[:n]}, True
        if rows:
            edge = value(rows[min(n, len(rows)) - 1], self.by)
        left_out = self._earlier.left_out(self.by, self.rows, self.total, [*self._page_ends, edge])
        before = self._earlier.ranked.get(self.by, frozenset())
        best = sorted(
            (*rows, *left_out.values()),
            key=lambda row: (-round(value(row, self.by), 6), row.media_id not in before, row.media_id),
        )[:n]
        last = value(best[-1], self.by) if best else 0.0
        sure = sum(value(row, self.by) > last for row in self._repeats) <= sum(
            value(row, self.by) > last for row in left_out.values()
        )
        return {row.media_id: row for row in best}, sure

    @property
    def complete(self) -> bool:
        """Whether every row of the result set was read; False if the service did not return a total."""
        if not self.ended or self.total is None:
            return False
        return self._accounted >= self.total or self._accounted + len(self._left_out) == self.total

    @property
    def done(self) -> bool:
        """Whether `n` rows were read or the end was reached."""
        return self.ended or (self.n is not None and len(self.rows) >= self.n)

    @property
    def short_by(self) -> int:
        """How many wanted rows the service counted and did not return; 0 before the end."""
        wanted = self.total or 0 if self.n is None else min(self.n, self.total or 0)
        return max(0, wanted - self._accounted - len(self._left_out)) if self.ended else 0
