"""Pages of one order of a slice, asked for several at once and read in order: what they hold, and where the end is."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.errors import Kind, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.core.model import Measure, Page, PlayRow

# A result set of a million media; beyond it the service does not know where its end is.
MAX_PAGES: Final = 10_000
_SWEEPS: Final = 2


@dataclass(frozen=True, slots=True)
class AskPage:
    """One call: a page of the slice, from 1, most of `by` first."""

    by: Measure
    number: int
    size: int


class Sweep:
    """Pages of one order as far as they were read; `n` rows are wanted of it, None: all there are.

    `number` pages were read; `awaited` are those asked for and not answered. A page that arrives or fails before its
    turn waits for it. `stuck`: a page that was needed failed.
    """

    def __init__(self, by: Measure, size: int, n: int | None) -> None:
        self.by = by
        self.size = size
        self.n = n
        self.rows: dict[str, PlayRow] = {}
        self.total: int | None = None
        self.ended = False
        self.stuck = False
        self.number = 0
        self.awaited: set[int] = set()
        self._asked = 0  # the last page
        self._early: dict[int, Page] = {}
        self._failures: dict[int, UpstreamError] = {}
        self._seen = 0
        self._earlier: dict[str, PlayRow] = {}
        self._again = _SWEEPS - 1

    def ask(self, last: int, at_once: int) -> AskPage | None:
        """The next page: the one to be read next, or one up to `last` while fewer than `at_once` are yet to be read."""
        ahead = self._asked - self.number
        if ahead and (self._failures or ahead >= at_once or self._asked >= min(last, MAX_PAGES)):
            return None
        self._asked += 1
        self.awaited.add(self._asked)
        return AskPage(self.by, self._asked, self.size)

    def heard(self, number: int, page: Page) -> Iterator[Page]:
        """A page has arrived; gives each page that can be read by that, when it was read."""
        self.awaited.discard(number)
        self._early[number] = page
        while (read := self._early.pop(self.number + 1, None)) is not None:
            self._read(read)
            if self.ended:
                self.leave()
            yield read

    def gave_up(self, number: int, error: UpstreamError) -> None:
        """A page has failed; that matters when reading comes to it."""
        self.awaited.discard(number)
        self._failures[number] = error

    def leave(self) -> None:
        """Ask for and read no more of it for now: what is under way is not needed."""
        self._asked = self.number
        for kept in (self.awaited, self._early, self._failures):
            kept.clear()

    def _read(self, page: Page) -> None:
        """Keep each row once, and see whether this was the end."""
        self.number += 1
        self.total = page.total_count if page.total_count is not None else self.total
        self._seen += len(page.rows)
        known = len(self.rows)
        for row in page.rows:
            self.rows.setdefault(row.media_id, row)
        full = len(page.rows) >= self.size
        # Smaller pages than asked for do not end it while rows are missing; full ones may go on beyond the count.
        # A page of nothing new ends it: whoever sends the same one again would do so for ever.
        total, nothing_new = self.total, len(self.rows) == known
        self.ended = nothing_new or not (full if total is None or self._seen > total else self._seen < total)
        if self.ended and self.short_by and self._again:
            # Rows that moved between two pages while they were read are usually there the second time.
            self._again -= 1
            self._earlier, self.rows = self.rows, {}
            self.number = self._seen = 0
            self.ended = False
            self.leave()
        elif self.ended:
            self.rows = {**self.rows, **{m: row for m, row in self._earlier.items() if m not in self.rows}}

    @property
    def certain(self) -> int:
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
    def endless(self) -> UpstreamError | None:
        """What to say where the service goes on giving rows after MAX_PAGES pages."""
        if self.number < MAX_PAGES:
            return None
        return UpstreamError(
            f"the result set has no end: still rows after {MAX_PAGES} pages",
            code="malformed",
            kind=Kind.MALFORMED,
            advice="The service does not end its list of media; ask Alibaba Cloud's support, or poll media by ID.",
        )

    @property
    def complete(self) -> bool:
        """Whether these are all rows there are; never where the service did not say how many."""
        return self.ended and self.total is not None and len(self.rows) >= self.total

    @property
    def done(self) -> bool:
        """Whether as many rows as wanted were read, or the end was reached."""
        return self.ended or (self.n is not None and len(self.rows) >= self.n)

    @property
    def short_by(self) -> int:
        """How many rows that the service counted did not turn up, in a sweep that wanted them."""
        wanted = self.total or 0 if self.n is None else min(self.n, self.total or 0)
        return max(0, wanted - len(self.rows)) if self.ended else 0
