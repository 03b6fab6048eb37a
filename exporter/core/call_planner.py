"""What is needed of a slice + what was heard so far → the next calls: by ID or by page, whichever is fewer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core.earlier_rows import NO_EARLIER_ROWS, EarlierRows
from exporter.core.merge import SliceObservation
from exporter.core.model import Measure, RowProblem, Top
from exporter.core.page_reader import PageReader, PageRequest
from exporter.core.plan import PAGE_SIZE
from exporter.core.row_comparison import preferred_row, same_row
from exporter.errors import ErrorKind, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import Page, PlayRow
    from exporter.core.plan import FetchPlan

# Up to so many media are asked for by ID where nothing tells how long the result set is.
FEW_MEDIA: Final = 2
# For more media than this a look at the first page comes first, however long the result set is: it costs one call more
# at the most, and one call less for each media on it.
MANY_MEDIA: Final = 10
# So many media of a slice failing in a row say that the next will fail too; the rest waits for the next poll.
GIVE_UP_AFTER: Final = 3
# Who refuses a page with one of these, having answered the pages before it, will refuse it the next time too.
_LISTS_NO_MORE: Final = frozenset({ErrorKind.PARAMETER, ErrorKind.OTHER})
_CONFLICT: Final = "several rows with other numbers, the one with most plays counts"


@dataclass(frozen=True, slots=True)
class MediaRequest:
    """One call: the row of one media."""

    media_id: str


class CallPlanner:
    """Decides the next call for one slice: make the calls of `next`, give each response to `on_page` or `on_error`.

    K media in a result set of P pages take min(K, P) + 1 calls at the most: pages while fewer are left than media, or
    while each shows one that is wanted; else one call for each media. `likely_total` is how many rows the slice or its
    like had when it was last told; where P is not what it tells, or nothing does, K calls or one more may be made.

    Up to `max_in_flight` calls run at once. Only calls that a sequential search would also make are issued, judging by
    the responses so far. At most `max_in_flight - 1` of them turn out to be unneeded, when the result set ends earlier
    or a call fails. The first call goes alone: it may say that there is nothing to ask.

    A search that was aborted because a page failed keeps what it read before, unless it is `discarded`; see
    `observation`.
    `errors` are the failures it met. `earlier` are rows that were known before, for listings that leave some out.
    """

    def __init__(
        self, need: FetchPlan, likely_total: int | None, max_in_flight: int = 1, earlier: EarlierRows = NO_EARLIER_ROWS
    ) -> None:
        self._plan = need
        self._earlier = earlier
        self._likely_pages = None if likely_total is None else _pages(likely_total)
        self._max_in_flight = max_in_flight
        self._rows: dict[str, PlayRow | None] = {}  # asked for by ID
        self._unresolved = set(need.ids)  # of which nothing is known yet
        self._media_queue: list[str] | None = None  # by ID, the last one first; None while pages are asked for
        self._media_in_flight: set[str] = set()  # asked for by ID, and not answered yet
        self._answered = False
        self._paid = False
        self._failed_in_a_row = 0
        self.errors: list[UpstreamError] = []
        self.aborted = self.stopped = self.discarded = False
        self._problems: dict[tuple[str, str], RowProblem] = {}
        self._conflicts: set[str] = set()  # asked for by ID
        self._readers = {by: PageReader(by, self._size(n), n, earlier) for by, n in need.tops.items()}
        if need.everything:
            self._readers = {Measure.PLAYS: PageReader(Measure.PLAYS, PAGE_SIZE, None, earlier)}

    @property
    def in_flight(self) -> int:
        """How many calls are under way whose answer is still needed."""
        over = self.aborted or self.stopped
        return 0 if over else len(self._media_in_flight) + sum(len(sweep.in_flight) for sweep in self._readers.values())

    def still_needed(self, asked: MediaRequest | PageRequest) -> bool:
        """Whether the answer to a call under way is still needed."""
        if self.aborted or self.stopped:
            return False
        if isinstance(asked, MediaRequest):
            return asked.media_id in self._media_in_flight
        return asked.number in self._readers[asked.by].in_flight

    def next(self) -> MediaRequest | PageRequest | None:
        """A call to make now; None: nothing more is to be asked before, or whatever, those under way tell."""
        if self.aborted or self.stopped or self.in_flight >= (self._max_in_flight if self._answered else 1):
            return None
        for sweep in self._readers.values():
            if not sweep.done:
                return self._request_page(sweep, sweep.last_known_page)
        if not self._unresolved:
            return None
        if self._media_queue is None:
            sweep = self._readers.get(Measure.PLAYS) or PageReader(Measure.PLAYS, PAGE_SIZE, 0)
            if sweep.in_flight or self._worth_a_page(sweep, len(self._unresolved)):
                self._readers[Measure.PLAYS] = sweep
                return self._request_page(sweep, self._last_certain_page(sweep))
            self._media_queue = sorted(self._unresolved, reverse=True)
        return self._request_media(self._media_queue)

    def on_page(self, asked: MediaRequest | PageRequest, page: Page) -> None:
        """The answer to a call."""
        self._answered = True
        self._failed_in_a_row = 0
        for problem in page.problems:
            self._note(problem)
        if isinstance(asked, MediaRequest):
            self._media_in_flight.discard(asked.media_id)
            self._unresolved.discard(asked.media_id)
            self._rows[asked.media_id] = self._only(page)
            return
        sweep = self._readers[asked.by]
        for read in sweep.on_page(asked.number, page):
            if self._unresolved:
                before = len(self._unresolved)
                self._unresolved.difference_update([row.media_id for row in read.rows])
                self._paid = len(self._unresolved) < before
            if sweep.complete and not sweep.skipped:
                self._unresolved.clear()
            if sweep.done and not self._unresolved:
                sweep.cancel_ahead()
        self._handle_failure(sweep)

    def on_error(self, asked: MediaRequest | PageRequest, error: UpstreamError, *, ends: bool = False) -> None:
        """That call failed, and its media is left out; without a page that is needed the whole search has broken off.

        `ends`: the error says that no other call of the slice will be answered either.
        """
        if isinstance(asked, PageRequest):
            sweep = self._readers[asked.by]
            sweep.on_error(asked.number, error)
            if ends:
                self.discarded = True
                self._abort(sweep, error)
            else:
                self._handle_failure(sweep)
            return
        self._media_in_flight.discard(asked.media_id)
        self._unresolved.discard(asked.media_id)
        self.errors.append(error)
        self._failed_in_a_row += 1
        self.stopped = ends or self._failed_in_a_row >= GIVE_UP_AFTER

    def restrict_to(self, need: FetchPlan) -> bool:
        """After it has broken off, go on for a part of what was needed, with what was read so far; no call is repeated.

        Whether it can: not where that part needs the page that failed.
        """
        self._plan = need
        self._unresolved &= need.ids
        self._media_in_flight.clear()
        self._failed_in_a_row = 0
        for by, n in need.tops.items():
            # A sweep of everything was to tell of every order.
            self._readers.setdefault(by, PageReader(by, self._size(n), n, self._earlier))
        for by, sweep in self._readers.items():
            sweep.n = need.tops.get(by, 0)
            sweep.cancel_ahead()
        self.aborted = need.everything or any(sweep.failed and not sweep.done for sweep in self._readers.values())
        if not self.aborted:
            self.errors = []
        return not self.aborted

    def observation(self, at: float) -> SliceObservation:
        """Everything that was heard by `at`; `is_whole` when it is all that was needed."""
        complete = next((sweep for sweep in self._readers.values() if sweep.complete and self._keeps_all(sweep)), None)
        rows: dict[str, PlayRow | None] = {**self._zeros(), **self._rows}
        for sweep in self._readers.values():
            kept = sweep.listed if sweep is complete or self._plan.everything else self._wanted(sweep)
            rows |= kept
        firsts = {} if complete else {Top(n, by): self._first(n, by, rows) for by, n in self._plan.tops.items()}
        tops = {top: found for top, found in firsts.items() if found is not None}
        for first, _ in tops.values():
            rows |= first
        return SliceObservation(
            at,
            rows,
            listed=complete is not None,
            tops=tuple((top, tuple(first)) for top, (first, _) in tops.items()),
            total=next((sweep.total for sweep in self._readers.values() if sweep.total is not None), None),
            is_whole=not self.aborted and not self.short_by and self._plan.ids <= rows.keys(),
            truncated=self.aborted,
            uncertain_rankings=frozenset(top.by for top, (_, sure) in tops.items() if not sure),
            unattributed_rows=complete.skipped if complete else 0,
        )

    @property
    def inconsistent(self) -> bool:
        """Whether earlier rows and those of now are more than the service counts."""
        return any(sweep.inconsistent for sweep in self._readers.values())

    @property
    def has_pages(self) -> bool:
        """Whether anything was answered that can be learnt from."""
        return bool(self._rows) or any(sweep.rows for sweep in self._readers.values())

    @property
    def problems(self) -> tuple[RowProblem, ...]:
        """What could not be used of the rows that were answered, one for each field and reason."""
        conflicts = sorted(self._conflicts.union(*(sweep.conflicts for sweep in self._readers.values())))
        said = RowProblem("MediaId", _CONFLICT, conflicts[0], len(conflicts)) if conflicts else None
        return (*self._problems.values(), *([said] if said else []))

    @property
    def short_by(self) -> int:
        """Rows that the service counted and did not list, in a sweep that wanted them."""
        return sum(sweep.short_by for sweep in self._readers.values())

    def _first(self, n: int, by: Measure, rows: Mapping[str, PlayRow | None]) -> tuple[dict[str, PlayRow], bool] | None:
        """The best by a measure, in the service's order or by their numbers where all were asked for at once.

        And whether one that belongs there may be missing; None where nothing is known of the order.
        """
        if by in self._readers:
            sweep = self._readers[by]
            return sweep.first(n) if sweep.number or not self.aborted else None
        played = [row for row in rows.values() if row is not None]
        best = sorted(played, key=lambda row: -(getattr(row, by.value) or 0))[:n]
        return {row.media_id: row for row in best}, True

    def _only(self, page: Page) -> PlayRow | None:
        """The row of the media that was asked for."""
        found = page.rows[0] if page.rows else None
        for row in page.rows[1:]:
            if found is not None and not same_row(found, row):
                self._conflicts.add(row.media_id)
            found = row if found is None else preferred_row(found, row)
        return found

    def _note(self, problem: RowProblem) -> None:
        key = problem.field, problem.reason
        before = self._problems.get(key)
        self._problems[key] = replace(before, times=before.times + problem.times) if before else problem

    def _size(self, n: int) -> int:
        return PAGE_SIZE if self._plan.ids else min(n, PAGE_SIZE)

    def _request_page(self, sweep: PageReader, last: int) -> PageRequest | None:
        """The next page of a sweep, where it is the next to be read or one up to `last`."""
        if sweep.no_end_error is not None:
            self.discarded = True
            self._abort(sweep, sweep.no_end_error)
            return None
        return sweep.ask(last, self._max_in_flight)

    def _request_media(self, to_ask: list[str]) -> MediaRequest | None:
        """The next media, unless so many are under way that all of them failing would be reason to give up."""
        if len(self._media_in_flight) >= GIVE_UP_AFTER - self._failed_in_a_row:
            return None
        while to_ask:
            media_id = to_ask.pop()
            if media_id in self._unresolved:
                self._media_in_flight.add(media_id)
                return MediaRequest(media_id)
        return None

    def _handle_failure(self, sweep: PageReader) -> None:
        """Break off where reading has come to the page that failed."""
        if sweep.failure is not None:
            self._abort(sweep, sweep.failure)

    def _abort(self, sweep: PageReader, error: UpstreamError) -> None:
        sweep.failed = True
        lists_no_more = error.kind in _LISTS_NO_MORE and sweep.number > 0 and not self.discarded
        if lists_no_more and sweep.done:
            # The pages were a shorter way to media that are known by their IDs.
            sweep.cancel_ahead()
            return
        self.aborted = True
        self.errors.append(_no_more(sweep, error) if lists_no_more else error)

    def _last_certain_page(self, sweep: PageReader) -> int:
        """The last page that is worth asking for whatever those before it will show: a page may show 100 of the media.

        Of m media and p pages left the i-th page from now is worth it while p - i <= m - 100 * i and more than one
        media is left; see `_worth_a_page`.
        """
        missing, left = len(self._unresolved), _pages(sweep.total or 0) - sweep.number
        more = min((missing - left) // (PAGE_SIZE - 1), (missing - 2) // PAGE_SIZE, left - 1)
        return sweep.number + 1 + max(0, more)

    def _worth_a_page(self, sweep: PageReader, missing: int) -> bool:
        """Whether sweeping on costs no more calls than asking for each missing media."""
        if any(each.ended or each.failed for each in self._readers.values()) or missing == 1:
            return False
        total = next((each.total for each in self._readers.values() if each.total is not None), None)
        if total is not None:
            # None left and yet not ended: the service counts wrongly, and there is no telling where the end is.
            left = _pages(total) - sweep.number
            # A page that showed a wanted media has paid for itself, and the next one may do so too.
            return left > 0 and (left <= missing or self._paid)
        if self._likely_pages is not None:
            return self._likely_pages < missing or missing > MANY_MEDIA
        return missing > FEW_MEDIA

    def _zeros(self) -> dict[str, PlayRow | None]:
        """Wanted media that a complete sweep did not show."""
        complete = any(sweep.complete and not sweep.skipped for sweep in self._readers.values())
        return dict.fromkeys(self._plan.ids) if complete else {}

    def _keeps_all(self, sweep: PageReader) -> bool:
        """Whether all rows of a sweep are wanted: of a search for some media, the others are not kept."""
        return self._plan.everything or bool(sweep.n and len(sweep.rows) <= sweep.n)

    def _wanted(self, sweep: PageReader) -> dict[str, PlayRow]:
        first = tuple(sweep.rows)[: sweep.n or 0]
        rows = sweep.listed
        return {media_id: rows[media_id] for media_id in (*first, *(self._plan.ids & rows.keys()))}


def _pages(total: int) -> int:
    return ceil(total / PAGE_SIZE)


def _no_more(sweep: PageReader, error: UpstreamError) -> UpstreamError:
    return UpstreamError(
        f"page {sweep.number + 1} of the list of media was refused: {error.message}",
        code=error.code,
        kind=error.kind,
        request_id=error.request_id,
        http_status=error.http_status,
        advice=f"The service answered the pages before it, which are shown: ask for {{top: {len(sweep.rows)}, by: "
        f"{sweep.by.value}}}, or for media by their IDs.",
    )
