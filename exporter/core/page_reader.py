"""Pages of one order of a slice, asked for several at once and read in order: what they hold, and where the end is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core.earlier_rows import NO_EARLIER_ROWS, EarlierRows, value
from exporter.core.row_comparison import preferred_row, same_row
from exporter.errors import ErrorKind, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.core.model import Measure, Page, PlayRow

# A result set of a million media; beyond it the service does not know where its end is.
MAX_PAGES: Final = 10_000
_SWEEPS: Final = 2


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One call: a page of the slice, from 1, most of `by` first."""

    by: Measure
    number: int
    size: int


class PageReader:
    """Pages of one order as far as they were read; `n` rows are wanted of it, None: all there are.

    `number` pages were read; `in_flight` are those asked for and not answered. A page that arrives or fails before its
    turn waits for it. `failed`: a page that was needed failed.

    A media that has several rows in one page, or the same two in two readings, has them in the result set too; they
    are `doubled`, and `conflicts` are the media whose rows differ. `skipped` rows are nobody's. `earlier` are rows that
    may have been left out; `inconsistent`: there are more of them than the service counts.
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
        self._asked = 0  # the last page
        self._early: dict[int, Page] = {}
        self._failures: dict[int, UpstreamError] = {}
        self._seen = 0
        self._again = _SWEEPS - 1
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

    def ask(self, last: int, max_in_flight: int) -> PageRequest | None:
        """The next page to request, up to `last` while fewer than `max_in_flight` are requested and not yet read."""
        ahead = self._asked - self.number
        if ahead and (self._failures or ahead >= max_in_flight or self._asked >= min(last, MAX_PAGES)):
            return None
        self._asked += 1
        self.in_flight.add(self._asked)
        return PageRequest(self.by, self._asked, self.size)

    def on_page(self, number: int, page: Page) -> Iterator[Page]:
        """A page has arrived; gives each page that can be read by that, when it was read."""
        self.in_flight.discard(number)
        self._early[number] = page
        while (read := self._early.pop(self.number + 1, None)) is not None:
            self._read(read)
            if self.ended:
                self.cancel_ahead()
            yield read

    def on_error(self, number: int, error: UpstreamError) -> None:
        """A page has failed; that matters when reading comes to it."""
        self.in_flight.discard(number)
        self._failures[number] = error

    def cancel_ahead(self) -> None:
        """Ask for and read no more of it for now: what is under way is not needed."""
        self._asked = self.number
        for kept in (self.in_flight, self._early, self._failures):
            kept.clear()

    def _read(self, page: Page) -> None:
        """Keep each row once, and see whether this was the end."""
        self.number += 1
        self.total = page.total_count if page.total_count is not None else self.total
        length = len(page.rows) + page.skipped
        self._seen += length
        self.skipped += page.skipped
        known = len(self.rows)
        self._keep(page.rows)
        full = length >= self.size
        # Smaller pages than asked for do not end it while rows are missing; full ones may go on beyond the count.
        # A page of nothing new ends it: whoever sends the same one again would do so for ever.
        total, nothing_new = self.total, len(self.rows) == known
        self.ended = nothing_new or not (full if total is None or self._seen > total else self._seen < total)
        if not self.ended:
            return
        self._account()
        # Rows that moved between two pages while they were read are usually there the second time; a page without any
        # row will be no longer then.
        if self.short_by and self._again and length:
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
        """Another row of a media."""
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
        """At the end of a reading: which rows were read twice rightly, and which were left out."""
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
        self._again -= 1
        self._first_reading, self.rows = self.rows, {}
        self._first_pairs, self._pairs = self._pairs, {}
        self._left_out = {}
        self._repeats.clear()
        self.conflicts.clear()
        self.number = self._seen = self.skipped = self.doubled = 0
        self.ended = self.inconsistent = False
        self.cancel_ahead()

    @property
    def _accounted(self) -> int:
        """How many of the rows that the service counts are known to be read."""
        return len(self.rows) + self.doubled + self.skipped

    @property
    def listed(self) -> dict[str, PlayRow]:
        """All rows, with those that were left out where that makes the listing complete."""
        return {**self.rows, **self._left_out} if self._left_out and self.complete else self.rows

    def first(self, n: int) -> tuple[dict[str, PlayRow], bool]:
        """The first `n` rows, best first, and whether none that belongs there can be missing.

        In the service's order; on a day that can be final, the rows before that were left out are put back, and of
        rows as good as the last one those stay that were among the first before.
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
        """The last page that has to be read, if the service counts rightly and its pages are full."""
        if self.total is None:
            return 0
        pages = ceil(self.total / self.size)
        return pages if self.n is None else min(pages, self.number + ceil((self.n - len(self.rows)) / self.size))

    @property
    def failure(self) -> UpstreamError | None:
        """Why the page that is to be read next was not answered."""
        return self._failures.get(self.number + 1)

    @property
    def no_end_error(self) -> UpstreamError | None:
        """What to say where the service goes on giving rows after MAX_PAGES pages."""
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
        """Whether these are all rows there are; never where the service did not say how many."""
        if not self.ended or self.total is None:
            return False
        return self._accounted >= self.total or self._accounted + len(self._left_out) == self.total

    @property
    def done(self) -> bool:
        """Whether as many rows as wanted were read, or the end was reached."""
        return self.ended or (self.n is not None and len(self.rows) >= self.n)

    @property
    def short_by(self) -> int:
        """How many rows that the service counted did not turn up, in a sweep that wanted them."""
        wanted = self.total or 0 if self.n is None else min(self.n, self.total or 0)
        return max(0, wanted - self._accounted - len(self._left_out)) if self.ended else 0
