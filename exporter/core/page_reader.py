"""Reads the listing of a slice in one order: requests pages concurrently and reads them in order."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core.listing import NO_EARLIER_ROWS, EarlierRows, Listing
from exporter.errors import ErrorKind, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from exporter.core.model import Measure, Page

# A result set of a million media; a longer listing is assumed never to end.
MAX_PAGES: Final = 10_000


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One call: page `number` (from 1) of the slice, ordered by `by`, highest first."""

    by: Measure
    number: int
    size: int


class PageReader:
    """Reads pages of `size` rows into a `listing` of the `n` rows that are wanted, None for all.

    * `in_flight`: the numbers of requested pages without a response. A page that arrives or fails before its turn waits
      for it.
    * `failed`: a page that is needed cannot be read; set by the planner.
    """

    def __init__(self, by: Measure, size: int, n: int | None, earlier: EarlierRows = NO_EARLIER_ROWS) -> None:
        self.listing = Listing(by, size, n, earlier)
        self.failed = False
        self.in_flight: set[int] = set()
        self._size = size
        self._last_requested = 0  # the last page requested
        self._unread: dict[int, Page] = {}
        self._failures: dict[int, UpstreamError] = {}

    @property
    def number(self) -> int:
        """How many pages were read."""
        return self.listing.number

    def request_next(self, last: int, max_in_flight: int) -> PageRequest | None:
        """The next page to request, up to `last` while fewer than `max_in_flight` are requested and not yet read."""
        ahead = self._last_requested - self.number
        if ahead and (self._failures or ahead >= max_in_flight or self._last_requested >= min(last, MAX_PAGES)):
            return None
        self._last_requested += 1
        self.in_flight.add(self._last_requested)
        return PageRequest(self.listing.by, self._last_requested, self._size)

    def add(self, number: int, page: Page, missing: AbstractSet[str] = frozenset()) -> list[Page]:
        """Store a response and read all pages whose turn it is; returns the pages read, in order.

        Reading stops at the end, and after `n` rows when these pages contain all `missing` media. Pages ahead are
        dropped then.
        """
        self.in_flight.discard(number)
        self._unread[number] = page
        pages: list[Page] = []
        while (page_in_turn := self._unread.pop(self.number + 1, None)) is not None:
            continues = self.listing.add(page_in_turn)
            pages.append(page_in_turn)
            missing = missing - {row.media_id for row in page_in_turn.rows}
            if not continues or self.listing.ended or (self.listing.done and not missing):
                self.cancel_ahead()
        return pages

    def add_error(self, number: int, error: UpstreamError) -> None:
        """Record the error of a page; it counts once all pages before it are read."""
        self.in_flight.discard(number)
        self._failures[number] = error

    def restrict_to(self, n: int) -> None:
        """Read only `n` rows from now on, and drop all pages ahead."""
        self.listing.n = n
        self.cancel_ahead()

    def cancel_ahead(self) -> None:
        """Drop all pages requested and not read yet, in flight or not."""
        self._last_requested = self.number
        for kept in (self.in_flight, self._unread, self._failures):
            kept.clear()

    @property
    def last_known_page(self) -> int:
        """The last page to read if the total is right and all pages are full; 0 while the total is unknown."""
        total, n = self.listing.total, self.listing.n
        if total is None:
            return 0
        pages = ceil(total / self._size)
        return pages if n is None else min(pages, self.number + ceil((n - len(self.listing.rows)) / self._size))

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
            advice="The service's list of media has no end; contact Alibaba Cloud support, or poll media by ID.",
        )

    def rejection(self, error: UpstreamError) -> UpstreamError:
        """The error to report when the service answers some pages and rejects the next one."""
        wanted = f"{{top: {len(self.listing.rows)}, by: {self.listing.by.value}}}"
        return UpstreamError(
            f"page {self.number + 1} of the list of media was rejected: {error.message}",
            code=error.code,
            kind=error.kind,
            request_id=error.request_id,
            http_status=error.http_status,
            advice=f"The pages before it are published. Query {wanted}, or media by their IDs.",
        )
