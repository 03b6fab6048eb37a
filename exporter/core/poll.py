"""Carry a plan out: pages in, slice data out; knows neither HTTP nor Prometheus, only the Protocols it needs."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from exporter.core import days
from exporter.core.learn import Lesson, learn, not_ready
from exporter.core.model import Measure, Top
from exporter.core.plan import PAGE_SIZE, AskMedia, Sweep, plan, slices
from exporter.core.snapshot import Snapshot
from exporter.errors import AccountPaused, BudgetSpent, Kind, NotAsked, NotReady, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.core.days import Settlement
    from exporter.core.model import Page, PlayRow, Query, Slice, SliceData

# A result set of a million media; beyond it the service does not know where its end is.
MAX_PAGES: Final = 10_000
# So many media of a slice failing in a row say that the next will fail too; the rest waits for the next poll.
GIVE_UP_AFTER: Final = 3


class Source(Protocol):
    """Where pages come from; one per account. Raises UpstreamError, after whatever repeating was worth it."""

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        """One page of a slice: of one media, or ordered by a measure, most first."""
        ...


class Savings(Protocol):
    """Who is told of calls that were not needed."""

    def calls_saved(self, account: str, reason: str, calls: int) -> None:
        """Against one call per ID or page, dimension, day and poll; reason: `shared`, `sweep` or `settled`."""
        ...


class PollResult(StrEnum):
    """How a poll ended; the `result` label of `aliyun_vod_query_polls_total`."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class SliceOutcome:
    """What became of one slice in one poll: whether anything was answered, what failed, how many rows are missing."""

    slice: Slice
    answered: bool
    errors: tuple[UpstreamError, ...] = ()
    short_by: int = 0

    @property
    def complete(self) -> bool:
        """Whether everything wanted was answered; "not ready" is an answer."""
        return self.answered and not self.short_by and all(isinstance(error, NotReady) for error in self.errors)


@dataclass(frozen=True, slots=True)
class PollReport:
    """One poll of one query; times are seconds since 1970."""

    query: Query
    started_at: float
    ended_at: float
    outcomes: tuple[SliceOutcome, ...]
    result: PollResult


class Poller:
    """Polls queries and keeps what was learnt; a slice that several queries want is asked for once per round.

    `snapshot` changes only when a poll ends, all its slices at once.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        settlement: Settlement,
        savings: Savings,
        now: Callable[[], float],
        snapshot: Snapshot | None = None,
    ) -> None:
        self.snapshot = snapshot or Snapshot()
        self._sources = sources
        self._settlement = settlement
        self._savings = savings
        self._now = now
        # What polls under way have learnt already: another query may build on it before it is published.
        self._known: dict[Slice, SliceData] = dict(self.snapshot.slices)
        self._asking: defaultdict[Slice, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ended_at: dict[str, float] = {}

    async def poll(self, query: Query) -> PollReport:
        """Ask everything a query wants today; never raises for what the service does.

        Cancelled, it publishes nothing: a scrape never sees half a poll.
        """
        started_at = self._now()
        # Its own last answers are what a query comes to renew; what somebody else asked since then is as good as new.
        fresh_after = max(started_at - query.every, self._ended_at.get(query.name, 0.0))
        async with asyncio.TaskGroup() as group:
            polls = [
                group.create_task(self._poll_slice(query, slice_, fresh_after)) for slice_ in slices(query, started_at)
            ]
        ended_at = self._now()
        self._ended_at[query.name] = ended_at
        outcomes = tuple(poll.result() for poll in polls)
        self._publish([outcome.slice for outcome in outcomes])
        return PollReport(query, started_at, ended_at, outcomes, _result(outcomes))

    def _publish(self, polled: list[Slice]) -> None:
        """Show what was learnt of some slices, and forget the days that nobody can look at any more."""
        oldest = days.play_date(self._now(), days.OLDEST_DAYS_AGO + 1)
        learnt = [self._known[slice_] for slice_ in polled if slice_ in self._known]
        self.snapshot = self.snapshot.with_(learnt).since(oldest)
        for slice_ in [slice_ for slice_ in self._known if slice_.play_date < oldest]:
            del self._known[slice_]
            self._asking.pop(slice_, None)

    async def _poll_slice(self, query: Query, slice_: Slice, fresh_after: float) -> SliceOutcome:
        async with self._asking[slice_]:
            todo = plan(query.media, self._known.get(slice_), fresh_after)
            self._savings.calls_saved(slice_.account, "shared", todo.saved_shared)
            self._savings.calls_saved(slice_.account, "settled", todo.saved_settled)
            if not todo.asks:
                return SliceOutcome(slice_, answered=True)
            match todo.asks:
                case (Sweep() as sweep,):
                    return await self._sweep_slice(slice_, sweep)
                case _:
                    return await self._ask_media(slice_, [a.media_id for a in todo.asks if isinstance(a, AskMedia)])

    async def _ask_media(self, slice_: Slice, media_ids: list[str]) -> SliceOutcome:
        """Ask for media one by one; one that fails does not keep the others from being answered."""
        source = self._sources[slice_.account]
        rows: dict[str, PlayRow | None] = {}
        errors: list[UpstreamError] = []
        in_a_row = 0
        for media_id in media_ids:
            try:
                page = await source.page(slice_, page=1, page_size=PAGE_SIZE, media_id=media_id)
            except UpstreamError as error:
                errors.append(error)
                in_a_row += 1
                if _ends_slice(error) or in_a_row == GIVE_UP_AFTER:
                    break
            else:
                in_a_row = 0
                rows[media_id] = page.rows[0] if page.rows else None
        if rows:
            self._learn(slice_, Lesson(self._now(), rows, whole=not errors))
        if any(isinstance(error, NotReady) for error in errors):
            self._known[slice_] = not_ready(self._known.get(slice_), slice_, self._now())
            return SliceOutcome(slice_, answered=True, errors=tuple(errors))
        return SliceOutcome(slice_, answered=bool(rows), errors=tuple(errors))

    async def _sweep_slice(self, slice_: Slice, sweep: Sweep) -> SliceOutcome:
        """Read a slice page by page; a page that fails leaves everything as it was."""
        try:
            swept = await self._sweep(slice_, sweep)
            if swept.short_by:
                # Rows that moved between two pages while they were read are usually there the second time.
                again = await self._sweep(slice_, sweep)
                swept = replace(again, rows={**swept.rows, **again.rows})
        except NotReady as error:
            self._known[slice_] = not_ready(self._known.get(slice_), slice_, self._now())
            return SliceOutcome(slice_, answered=True, errors=(error,))
        except UpstreamError as error:
            return SliceOutcome(slice_, answered=False, errors=(error,))
        self._learn(
            slice_,
            Lesson(
                self._now(),
                swept.rows,
                swept=swept.complete,
                top=None if sweep.n is None or swept.complete else Top(sweep.n, sweep.by),
                total=swept.total,
                whole=not swept.short_by,
            ),
        )
        return SliceOutcome(slice_, answered=True, short_by=swept.short_by)

    async def _sweep(self, slice_: Slice, sweep: Sweep) -> _Swept:
        source = self._sources[slice_.account]
        page_size = min(sweep.n or PAGE_SIZE, PAGE_SIZE)
        rows: dict[str, PlayRow] = {}
        total: int | None = None
        seen = 0
        for number in range(1, MAX_PAGES + 1):
            page = await source.page(slice_, page=number, page_size=page_size, order_by=sweep.by)
            total = page.total_count if page.total_count is not None else total
            seen += len(page.rows)
            for row in page.rows:
                rows.setdefault(row.media_id, row)
            enough = sweep.n is not None and len(rows) >= sweep.n
            full = len(page.rows) >= page_size
            # Smaller pages than asked for do not end it while rows are missing; full ones may go on beyond the count.
            ended = not page.rows or not (full if total is None or seen > total else seen < total)
            if enough or ended:
                return _Swept(rows, total, enough=enough)
        raise UpstreamError(
            f"the result set has no end: still rows after {MAX_PAGES} pages",
            code="malformed",
            kind=Kind.MALFORMED,
            advice="The service does not end its list of media; ask Alibaba Cloud's support, or poll media by ID.",
        )

    def _learn(self, slice_: Slice, lesson: Lesson) -> None:
        self._known[slice_] = learn(self._known.get(slice_), slice_, lesson, self._settlement)


@dataclass(frozen=True, slots=True)
class _Swept:
    """The distinct rows of a sweep, and how many the service said there are."""

    rows: Mapping[str, PlayRow]
    total: int | None
    enough: bool

    @property
    def complete(self) -> bool:
        """Whether these are all rows there are; never where the service did not say how many."""
        return self.total is not None and len(self.rows) >= self.total

    @property
    def short_by(self) -> int:
        """How many rows that the service counted did not turn up, in a sweep that wanted them."""
        return 0 if self.enough or self.total is None else max(0, self.total - len(self.rows))


def _ends_slice(error: UpstreamError) -> bool:
    """Whether asking for the next media of the slice is pointless."""
    return isinstance(error, NotReady | NotAsked) or error.kind in {Kind.AUTH, Kind.CLOCK}


def _result(outcomes: tuple[SliceOutcome, ...]) -> PollResult:
    """`skipped` when nothing was asked, on purpose; `failure` when nothing was answered."""
    if all(outcome.complete for outcome in outcomes):
        return PollResult.SUCCESS
    if any(outcome.answered for outcome in outcomes):
        return PollResult.PARTIAL
    errors = [error for outcome in outcomes for error in outcome.errors]
    on_purpose = all(isinstance(error, AccountPaused | BudgetSpent) for error in errors)
    return PollResult.SKIPPED if on_purpose else PollResult.FAILURE
