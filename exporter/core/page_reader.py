"""Reads the listing of a slice in one order: requests pages concurrently, reads them in order and detects the end."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core.earlier_rows import NO_EARLIER_ROWS, EarlierRows, value
from exporter.core.row_comparison import preferred_row, same_row
from exporter.errors import ErrorKind, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from exporter.core.model import Measure, Page, PlayRow

# A result set of a million media; a longer one is taken for a service that never ends its listing.
MAX_PAGES: Final = 10_000
_READINGS: Final = 2


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One call: page `number` (from 1) of the slice, ordered by `by`, highest first."""

    by: Measure
    number: int
    size: int


class PageReader:
    """The pages of one order read so far; `n` is how many rows are wanted, None for all.

    * `number`: pages read. `in_flight`: the numbers of requested pages without a response. A page that arrives or fails
      before its turn waits for it.
    * `ended`: the end of the result set was reached. `failed`: a page that was needed failed.
    * `doubled`: additional rows of media that have several rows in the result set, because they were on one page or
      both readings returned the same two. `conflicts`: the media whose rows differ.
    * `skipped`: rows without a usable media ID.
    * `inconsistent`: the rows read and the `earlier` ones that may be missing are more than the service counts.
    """

    def __init__(self, by: Measure, size: int, n: int | None, earlier: EarlierRows = NO_EARLIER_ROWS) -> None:
        self.by = by
        self.size = size
        self.n = n
        self.rows: dict[str, PlayRow] = {}
        self.total: int | None = None
        self.ended = False
        self.failed = False
        self.number = 0
        self.in_flight: set[int] = set()
        self._last_requested = 0  # the last page requested
        self._unread: dict[int, Page] = {}
        self._failures: dict[int, UpstreamError] = {}
        self._rows_seen = 0
        self._readings_left = _READINGS - 1
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

    def request_next(self, last: int, max_in_flight: int) -> PageRequest | None:
        """The next page to request, up to `last` while fewer than `max_in_flight` are requested and not yet read."""
        ahead = self._last_requested - self.number
        if ahead and (self._failures or ahead >= max_in_flight or self._last_requested >= min(last, MAX_PAGES)):
            return None
        self._last_requested += 1
        self.in_flight.add(self._last_requested)
        return PageRequest(self.by, self._last_requested, self.size)

    def add(self, number: int, page: Page, missing: AbstractSet[str] = frozenset()) -> list[Page]:
        """Store a response and read all pages whose turn it is; returns the pages read, in order.

        Reading stops at the end, and after `n` rows when these pages contain all `missing` media. Pages ahead are
        dropped then.
        """
        self.in_flight.discard(number)
        self._unread[number] = page
        pages: list[Page] = []
        while (page_in_turn := self._unread.pop(self.number + 1, None)) is not None:
            self._read(page_in_turn)
            pages.append(page_in_turn)
            missing = missing - {row.media_id for row in page_in_turn.rows}
            if self.ended or (self.done and not missing):
                self.cancel_ahead()
        return pages

    def add_error(self, number: int, error: UpstreamError) -> None:
        """Record the error of a page; it counts once all pages before it are read."""
        self.in_flight.discard(number)
        self._failures[number] = error

    def mark_failed(self) -> None:
        """Note that a page that is needed cannot be read."""
        self.failed = True

    def restrict_to(self, n: int) -> None:
        """Want only `n` rows from now on, and drop all pages ahead."""
        self.n = n
        self.cancel_ahead()

    def cancel_ahead(self) -> None:
        """Drop all pages requested and not read yet, in flight or not."""
        self._last_requested = self.number
        for kept in (self.in_flight, self._unread, self._failures):
            kept.clear()

    def _read(self, page: Page) -> None:
        """Store the rows of the next page and check whether it is the last."""
        self.number += 1
        self.total = page.total_count if page.total_count is not None else self.total
        length = len(page.rows) + page.skipped
        self._rows_seen += length
        self.skipped += page.skipped
        known = len(self.rows)
        self._keep(page.rows)
        full = length >= self.size
        # A page shorter than requested is not the end while rows are missing; full pages may continue beyond the total.
        # A page without a new row is the end: a service that repeats a page would repeat it forever.
        total, nothing_new = self.total, len(self.rows) == known
        self.ended = nothing_new or not (full if total is None or self._rows_seen > total else self._rows_seen < total)
        if not self.ended:
            return
        self._account()
        # Rows that moved between pages during the first reading usually appear in a second one. After an empty page a
        # second reading is pointless.
        if self.short_by and self._readings_left and length:
            self._read_again()

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
        """Store a further row of a media that has one: in the same page, or in an earlier one."""
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
        if self._first_reading or self._first_pairs:
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

    def _read_again(self) -> None:
        self._readings_left -= 1
        self._first_reading, self.rows = self.rows, {}
        self._first_pairs, self._pairs = self._pairs, {}
        self._left_out = {}
        self._repeats.clear()
        self.conflicts.clear()
        self.number = self._rows_seen = self.skipped = self.doubled = 0
        self.ended = self.inconsistent = False
        self.cancel_ahead()

    @property
    def _accounted(self) -> int:
        """How many of the rows in the service's total were read."""
        return len(self.rows) + self.doubled + self.skipped

    @property
    def listed(self) -> dict[str, PlayRow]:
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
    def last_known_page(self) -> int:
        """The last page to read if the total is right and all pages are full; 0 while the total is unknown."""
        if self.total is None:
            return 0
        pages = ceil(self.total / self.size)
        return pages if self.n is None else min(pages, self.number + ceil((self.n - len(self.rows)) / self.size))

    @property
    def failure(self) -> UpstreamError | None:
        """The error of the next page to read, if it failed."""
        return self._failures.get(self.number + 1)

    @property
    def no_end_error(self) -> UpstreamError | None:
        """The error to report when the service still returns rows after MAX_PAGES pages."""
        if self.number < MAX_PAGES:
            return None
        return UpstreamError(
            f"the result set has no end: still rows after {MAX_PAGES} pages",
            code="malformed",
            kind=ErrorKind.MALFORMED,
            advice="The service does not end its list of media; ask Alibaba Cloud's support, or poll media by ID.",
        )

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
