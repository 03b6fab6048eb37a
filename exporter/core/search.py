"""What is needed of a slice + what was heard so far → the next call: by ID or by page, whichever is fewer."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core.learn import Lesson
from exporter.core.model import Measure, Top
from exporter.core.plan import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import Page, PlayRow
    from exporter.core.plan import Need

# A result set of a million media; beyond it the service does not know where its end is.
MAX_PAGES: Final = 10_000
# Up to so many media are asked for by ID where nothing tells how long the result set is.
FEW: Final = 2
# For more media than this a look at the first page comes first, however long the result set is: it costs one call more
# at the most, and one call less for each media on it.
MANY: Final = 10
_SWEEPS: Final = 2


class Endless(Exception):
    """The service goes on giving rows after MAX_PAGES pages."""

    def __init__(self) -> None:
        super().__init__(f"the result set has no end: still rows after {MAX_PAGES} pages")


@dataclass(frozen=True, slots=True)
class AskMedia:
    """One call: the row of one media."""

    media_id: str


@dataclass(frozen=True, slots=True)
class AskPage:
    """One call: a page of the slice, from 1, most of `by` first."""

    by: Measure
    number: int
    size: int


class Search:
    """Finds what is needed of one slice. Ask what `next` says, give the answer to `heard`, until it says None.

    A search that broke off because a page failed has learnt nothing; see `lesson`.

    K media in a result set of P pages take min(K, P) + 1 calls at the most: pages while fewer are left than media, or
    while each shows one that is wanted; else one call for each media. `likely_total` is how many rows the slice or its
    like had when it was last told; where P is not what it tells, or nothing does, K calls or one more may be made.
    """

    def __init__(self, need: Need, likely_total: int | None) -> None:
        self._need = need
        self._likely_pages = None if likely_total is None else _pages(likely_total)
        self._rows: dict[str, PlayRow | None] = {}  # asked for by ID
        self._open = set(need.ids)  # of which nothing is known yet
        self._paid = False
        self.broken = False
        self._sweeps = {by: _Sweep(by, self._size(n), n) for by, n in need.tops.items()}
        if need.everything:
            self._sweeps = {Measure.PLAYS: _Sweep(Measure.PLAYS, PAGE_SIZE, None)}

    def next(self) -> AskMedia | AskPage | None:
        """The next call; None: everything is found, or the search has broken off. Raises Endless."""
        if self.broken:
            return None
        for sweep in self._sweeps.values():
            if not sweep.done:
                return sweep.ask()
        if not self._open:
            return None
        by_plays = self._sweeps.get(Measure.PLAYS)
        if not self._worth_a_page(by_plays, len(self._open)):
            return AskMedia(min(self._open))
        if by_plays is None:
            by_plays = self._sweeps[Measure.PLAYS] = _Sweep(Measure.PLAYS, PAGE_SIZE, 0)
        return by_plays.ask()

    def heard(self, asked: AskMedia | AskPage, page: Page) -> None:
        """The answer to a call."""
        if isinstance(asked, AskMedia):
            self._open.discard(asked.media_id)
            self._rows[asked.media_id] = page.rows[0] if page.rows else None
            return
        sweep = self._sweeps[asked.by]
        sweep.read(page)
        before = len(self._open)
        self._open.difference_update(row.media_id for row in page.rows)
        self._paid = len(self._open) < before
        if sweep.complete:
            self._open.clear()

    def gave_up(self, asked: AskMedia | AskPage) -> None:
        """That media cannot be had now; without a page of it the whole search has broken off."""
        if isinstance(asked, AskMedia):
            self._open.discard(asked.media_id)
        else:
            self._sweeps[asked.by].stuck = self.broken = True

    def narrow(self, need: Need) -> bool:
        """After it has broken off, go on for a part of what was needed, with what was read so far; no call is repeated.

        Whether it can: not where that part needs the page that failed.
        """
        self._need = need
        self._open &= need.ids
        for by, sweep in self._sweeps.items():
            sweep.n = need.tops.get(by, 0)
        self.broken = need.everything or any(sweep.stuck and not sweep.done for sweep in self._sweeps.values())
        return not self.broken

    def lesson(self, at: float) -> Lesson:
        """Everything that was heard by `at`; `whole` when it is all that was needed."""
        complete = next((sweep for sweep in self._sweeps.values() if sweep.complete and self._keeps_all(sweep)), None)
        rows: dict[str, PlayRow | None] = {**self._zeros(), **self._rows}
        for sweep in self._sweeps.values():
            kept = sweep.rows if sweep is complete or self._need.everything else self._wanted(sweep)
            rows |= kept
        tops = tuple((Top(n, by), self._first(n, by, rows)) for by, n in self._need.tops.items())
        return Lesson(
            at,
            rows,
            swept=complete is not None,
            tops=() if complete else tops,
            total=next((sweep.total for sweep in self._sweeps.values() if sweep.total is not None), None),
            whole=not self.short_by and self._need.ids <= rows.keys(),
        )

    @property
    def short_by(self) -> int:
        """Rows that the service counted and did not list, in a sweep that wanted them."""
        return sum(sweep.short_by for sweep in self._sweeps.values())

    def _first(self, n: int, by: Measure, rows: Mapping[str, PlayRow | None]) -> tuple[str, ...]:
        """The best by a measure: in the service's order, or by their numbers where all were asked for at once."""
        if by in self._sweeps:
            return tuple(self._sweeps[by].rows)[:n]
        played = [row for row in rows.values() if row is not None]
        return tuple(row.media_id for row in sorted(played, key=lambda row: -(getattr(row, by.value) or 0))[:n])

    def _size(self, n: int) -> int:
        return PAGE_SIZE if self._need.ids else min(n, PAGE_SIZE)

    def _worth_a_page(self, sweep: _Sweep | None, missing: int) -> bool:
        """Whether sweeping on costs no more calls than asking for each missing media."""
        if any(each.ended or each.stuck for each in self._sweeps.values()) or missing == 1:
            return False
        total = next((each.total for each in self._sweeps.values() if each.total is not None), None)
        if total is not None:
            # None left and yet not ended: the service counts wrongly, and there is no telling where the end is.
            left = _pages(total) - (sweep.number if sweep else 0)
            # A page that showed a wanted media has paid for itself, and the next one may do so too.
            return left > 0 and (left <= missing or self._paid)
        if self._likely_pages is not None:
            return self._likely_pages < missing or missing > MANY
        return missing > FEW

    def _zeros(self) -> dict[str, PlayRow | None]:
        """Wanted media that a complete sweep did not show."""
        complete = any(sweep.complete for sweep in self._sweeps.values())
        return dict.fromkeys(self._need.ids) if complete else {}

    def _keeps_all(self, sweep: _Sweep) -> bool:
        """Whether all rows of a sweep are wanted: of a search for some media, the others are not kept."""
        return self._need.everything or bool(sweep.n and len(sweep.rows) <= sweep.n)

    def _wanted(self, sweep: _Sweep) -> dict[str, PlayRow]:
        first = tuple(sweep.rows)[: sweep.n or 0]
        return {media_id: sweep.rows[media_id] for media_id in (*first, *(self._need.ids & sweep.rows.keys()))}


class _Sweep:
    """Pages of one order as far as they were read; `n` rows are wanted of it, None: all there are."""

    def __init__(self, by: Measure, size: int, n: int | None) -> None:
        self.by = by
        self.size = size
        self.n = n
        self.rows: dict[str, PlayRow] = {}
        self.total: int | None = None
        self.ended = False
        self.stuck = False
        self.number = 0
        self._seen = 0
        self._earlier: dict[str, PlayRow] = {}
        self._again = _SWEEPS - 1

    def ask(self) -> AskPage:
        """The next page. Raises Endless."""
        if self.number == MAX_PAGES:
            raise Endless
        return AskPage(self.by, self.number + 1, self.size)

    def read(self, page: Page) -> None:
        """Keep each row once, and see whether this was the end."""
        self.number += 1
        self.total = page.total_count if page.total_count is not None else self.total
        self._seen += len(page.rows)
        for row in page.rows:
            self.rows.setdefault(row.media_id, row)
        full = len(page.rows) >= self.size
        # Smaller pages than asked for do not end it while rows are missing; full ones may go on beyond the count.
        total = self.total
        self.ended = not page.rows or not (full if total is None or self._seen > total else self._seen < total)
        if self.ended and self.short_by and self._again:
            # Rows that moved between two pages while they were read are usually there the second time.
            self._again -= 1
            self._earlier, self.rows = self.rows, {}
            self.number = self._seen = 0
            self.ended = False
        elif self.ended:
            self.rows = {**self.rows, **{m: row for m, row in self._earlier.items() if m not in self.rows}}

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


def _pages(total: int) -> int:
    return ceil(total / PAGE_SIZE)
