"""Decides which calls to make for a slice, by media ID or by page, whichever takes fewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.core.fields import preferred_row, same_row
from exporter.core.listing import NO_EARLIER_ROWS, EarlierRows
from exporter.core.model import Measure, RowProblem, merged_problems
from exporter.core.observation import observe
from exporter.core.page_reader import PageReader, PageRequest
from exporter.core.pages_or_ids import last_certain_page, worth_a_page
from exporter.core.plan import PAGE_SIZE, pages_of
from exporter.errors import ErrorKind

if TYPE_CHECKING:
    from exporter.core.listing import Listing
    from exporter.core.model import Page, PlayRow
    from exporter.core.observation import SliceObservation
    from exporter.core.plan import FetchPlan
    from exporter.errors import UpstreamError

# After this many failures in a row the next media would fail too: the rest is left to the next poll.
GIVE_UP_AFTER: Final = 3
# A service that rejects a page with one of these after answering earlier pages will reject it again.
_REJECTIONS: Final = frozenset({ErrorKind.PARAMETER, ErrorKind.OTHER})
_CONFLICT: Final = "several rows with different numbers; the one with the most plays is used"


@dataclass(frozen=True, slots=True)
class MediaRequest:
    """One call: the row of one video by its ID."""

    media_id: str


class CallPlanner:
    """Decides the next call for one slice: make the calls of `next`, give each response to `on_page` or `on_error`.

    K media in a result set of P pages take at most min(K, P) + 1 calls: pages while fewer are left than media, or while
    each page contains a wanted video; otherwise one call per media. P is estimated from `likely_total`, the last known
    number of rows of this slice or a similar one; if that is unknown or wrong, K or K + 1 calls may be made.

    Up to `max_in_flight` calls run concurrently. Only calls that a sequential planner would also make are issued,
    judging by the responses so far. At most `max_in_flight - 1` of them turn out to be unneeded, when the result set
    ends earlier or a call fails. The first call runs alone: its response may make all others needless.

    * `errors`: the errors of failed calls.
    * `aborted`: a page that is needed failed; pages read before it are kept unless `discarded`. See `observation`.
    * `stopped`: no further media are requested, because of too many failures or one that aborts the slice.
    * `earlier`: rows of earlier polls, for listings that leave some out.
    """

    def __init__(
        self, plan: FetchPlan, likely_total: int | None, max_in_flight: int = 1, earlier: EarlierRows = NO_EARLIER_ROWS
    ) -> None:
        self._plan = plan
        self._earlier = earlier
        self._likely_pages = None if likely_total is None else pages_of(likely_total)
        self._max_in_flight = max_in_flight
        self._rows: dict[str, PlayRow | None] = {}  # responses to calls by ID
        self._unresolved = set(plan.ids)  # not on a page yet
        self._media_queue: list[str] | None = None  # last one first; None while pages are requested
        self._media_in_flight: set[str] = set()
        self._has_response = False
        self._page_was_useful = False
        self._failed_in_a_row = 0
        self.errors: list[UpstreamError] = []
        self.aborted = self.stopped = self.discarded = False
        self._problems: list[RowProblem] = []
        self._conflicts: set[str] = set()  # of media requested by ID
        self._readers = {by: PageReader(by, self._page_size(n), n, earlier) for by, n in plan.tops.items()}
        if plan.everything:
            self._readers = {Measure.PLAYS: PageReader(Measure.PLAYS, PAGE_SIZE, None, earlier)}

    @property
    def in_flight(self) -> int:
        """The number of calls in flight whose response is still needed."""
        if self.aborted or self.stopped:
            return 0
        return len(self._media_in_flight) + sum(len(reader.in_flight) for reader in self._readers.values())

    def still_needed(self, request: MediaRequest | PageRequest) -> bool:
        """Whether the response to a call in flight is still needed."""
        if self.aborted or self.stopped:
            return False
        if isinstance(request, MediaRequest):
            return request.media_id in self._media_in_flight
        return request.number in self._readers[request.by].in_flight

    def next(self) -> MediaRequest | PageRequest | None:
        """The next call, or None until a call in flight completes (or for good)."""
        if self.aborted or self.stopped or self.in_flight >= (self._max_in_flight if self._has_response else 1):
            return None
        for reader in self._readers.values():
            if not reader.listing.done:
                return self._request_page(reader, reader.last_known_page)
        if not self._unresolved:
            return None
        if self._media_queue is None:
            reader = self._readers.get(Measure.PLAYS) or PageReader(Measure.PLAYS, PAGE_SIZE, 0)
            if reader.in_flight or self._worth_a_page(reader):
                self._readers[Measure.PLAYS] = reader
                return self._request_page(
                    reader, last_certain_page(reader.number, reader.listing.total or 0, len(self._unresolved))
                )
            self._media_queue = sorted(self._unresolved, reverse=True)
        return self._request_media(self._media_queue)

    def on_page(self, request: MediaRequest | PageRequest, page: Page) -> None:
        """Handle the response to a call."""
        self._has_response = True
        self._failed_in_a_row = 0
        self._problems += page.problems
        if isinstance(request, MediaRequest):
            self._media_in_flight.discard(request.media_id)
            self._rows[request.media_id] = self._single_row(page)
            return
        reader = self._readers[request.by]
        for read in reader.add(request.number, page, self._unresolved):
            if self._unresolved:
                before = len(self._unresolved)
                self._unresolved.difference_update([row.media_id for row in read.rows])
                self._page_was_useful = len(self._unresolved) < before
        if reader.listing.complete and not reader.listing.skipped:
            self._unresolved.clear()
        self._handle_failure(reader)

    def on_error(
        self, request: MediaRequest | PageRequest, error: UpstreamError, *, aborts_slice: bool = False
    ) -> None:
        """Handle the error of a call: a video is left out; for a page that is needed, planning is aborted.

        `aborts_slice`: every other call for this slice would fail too.
        """
        if isinstance(request, PageRequest):
            reader = self._readers[request.by]
            reader.add_error(request.number, error)
            if aborts_slice:
                self.discarded = True
                self._abort(reader, error)
            else:
                self._handle_failure(reader)
            return
        self._media_in_flight.discard(request.media_id)
        self.errors.append(error)
        self._failed_in_a_row += 1
        self.stopped = aborts_slice or self._failed_in_a_row >= GIVE_UP_AFTER

    def restrict_to(self, plan: FetchPlan) -> bool:
        """After an abort, continue with a part of the plan and the pages read so far; no call is repeated.

        Returns False if that part needs the page that failed.
        """
        self._plan = plan
        self._unresolved &= plan.ids
        self._media_in_flight.clear()
        self._failed_in_a_row = 0
        for by, n in plan.tops.items():
            # With `everything`, one order was read for all tops.
            self._readers.setdefault(by, PageReader(by, self._page_size(n), n, self._earlier))
        for by, reader in self._readers.items():
            reader.restrict_to(plan.tops.get(by, 0))
        self.aborted = plan.everything or any(
            reader.failed and not reader.listing.done for reader in self._readers.values()
        )
        if not self.aborted:
            self.errors = []
        return not self.aborted

    def observation(self, at: float) -> SliceObservation:
        """Everything returned until `at` (seconds since 1970); `is_whole` if that is all that was planned."""
        listings = {by: reader.listing for by, reader in self._readers.items()}
        return observe(self._plan, listings, self._rows, at, aborted=self.aborted)

    @property
    def _listings(self) -> list[Listing]:
        return [reader.listing for reader in self._readers.values()]

    @property
    def inconsistent(self) -> bool:
        """Whether the rows read and the earlier ones that may be missing are more than the service counts."""
        return any(listing.inconsistent for listing in self._listings)

    @property
    def has_pages(self) -> bool:
        """Whether any response contained rows, or was for a video."""
        return bool(self._rows) or any(listing.rows for listing in self._listings)

    @property
    def problems(self) -> tuple[RowProblem, ...]:
        """What could not be used of the rows returned, one for each field and reason."""
        conflicts = sorted(self._conflicts.union(*(listing.conflicts for listing in self._listings)))
        conflict = (RowProblem("MediaId", _CONFLICT, conflicts[0], len(conflicts)),) if conflicts else ()
        return (*merged_problems(self._problems), *conflict)

    @property
    def short_by(self) -> int:
        """How many wanted rows the service counted and did not return in its listings."""
        return sum(listing.short_by for listing in self._listings)

    def _single_row(self, page: Page) -> PlayRow | None:
        """The row of a video requested by ID; of several rows the preferred one."""
        if not page.rows:
            return None
        found = page.rows[0]
        for row in page.rows[1:]:
            if not same_row(found, row):
                self._conflicts.add(row.media_id)
            found = preferred_row(found, row)
        return found

    def _page_size(self, n: int) -> int:
        return PAGE_SIZE if self._plan.ids else min(n, PAGE_SIZE)

    def _request_page(self, reader: PageReader, last: int) -> PageRequest | None:
        """The next page of a listing: the next one to read, or one ahead of it up to `last`."""
        if reader.no_end_error is not None:
            self.discarded = True
            self._abort(reader, reader.no_end_error)
            return None
        return reader.request_next(last, self._max_in_flight)

    def _request_media(self, queue: list[str]) -> MediaRequest | None:
        """The next media; None while enough calls are in flight to reach GIVE_UP_AFTER if all of them fail."""
        if len(self._media_in_flight) >= GIVE_UP_AFTER - self._failed_in_a_row:
            return None
        while queue:
            media_id = queue.pop()
            if media_id in self._unresolved:
                self._media_in_flight.add(media_id)
                return MediaRequest(media_id)
        return None

    def _handle_failure(self, reader: PageReader) -> None:
        """Abort if the next page to read has failed."""
        if reader.failure is not None:
            self._abort(reader, reader.failure)

    def _abort(self, reader: PageReader, error: UpstreamError) -> None:
        reader.failed = True
        page_rejected = error.kind in _REJECTIONS and reader.number > 0 and not self.discarded
        if page_rejected and reader.listing.done:
            # All tops are read; the remaining media can still be requested by ID.
            reader.cancel_ahead()
            return
        self.aborted = True
        self.errors.append(reader.rejection(error) if page_rejected else error)

    def _worth_a_page(self, reader: PageReader) -> bool:
        """Whether reading the listing on takes no more calls than requesting each missing video by ID."""
        if any(other.listing.ended or other.failed for other in self._readers.values()):
            return False
        total = next((listing.total for listing in self._listings if listing.total is not None), None)
        left = None if total is None else pages_of(total) - reader.number
        return worth_a_page(len(self._unresolved), left, self._likely_pages, page_was_useful=self._page_was_useful)
