"""Carry a plan out: pages in, slice data out; knows neither HTTP nor Prometheus, only the Protocols it needs."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from exporter.core import play_dates
from exporter.core.call_planner import CallPlanner
from exporter.core.call_runner import aborts_slice, run_calls
from exporter.core.earlier_rows import NO_EARLIER_ROWS, EarlierRows, earlier_rows
from exporter.core.merge import mark_not_ready, merge_observation
from exporter.core.model import ByIds, Snapshot
from exporter.core.plan import CLOCK_CORRECTION, FetchPlan, covers, plan_fetch, slices
from exporter.errors import AccountPaused, NotReady, QuotaExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from exporter.core.call_runner import PageSource
    from exporter.core.merge import SliceObservation
    from exporter.core.model import Dimensions, Query, RowProblem, Slice, SliceData
    from exporter.core.play_dates import Settlement
    from exporter.errors import UpstreamError

# To learn of so many rows takes some milliseconds.
INLINE_ROWS: Final = 2_000
# What another query will need within this part of its interval is asked for along with what is needed now.
DUE_SOON: Final = 0.1
SOON_SECONDS: Final = 60.0


class CallSavingsObserver(Protocol):
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
    """What became of one slice in one poll: whether anything was answered, what failed, how many rows are missing.

    `problems`: what could not be used of the rows that were answered.
    """

    slice: Slice
    answered: bool
    errors: tuple[UpstreamError, ...] = ()
    short_by: int = 0
    problems: tuple[RowProblem, ...] = ()

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

    `queries` are all that are polled: what several need of a slice is found together. `snapshot` is what is known at
    the start; it changes only when a poll ends, all its slices at once.
    """

    def __init__(
        self,
        sources: Mapping[str, PageSource],
        *,
        settlement: Settlement,
        savings: CallSavingsObserver,
        now: Callable[[], float],
        queries: Iterable[Query] = (),
        snapshot: Snapshot | None = None,
    ) -> None:
        self._queries = tuple(queries)
        self.snapshot = snapshot or Snapshot()
        self._sources = sources
        self._settlement = settlement
        self._savings = savings
        self._now = now
        # What polls under way have learnt already: another query may build on it before it is published.
        self._known: dict[Slice, SliceData] = dict(self.snapshot.slices)
        self._slice_locks: defaultdict[Slice, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ended_at: dict[str, float] = {}
        # By query, when the first of its last polls began that all did not get everything.
        self._incomplete_since: dict[str, float] = {}
        # When a sweep did not show all that the service counts, and how many were missing.
        self._incomplete: dict[Slice, tuple[float, int]] = {}
        # Since when rows of a slice count together: not before they were more than the service counted, or its count
        # changed.
        self._counted_since: dict[Slice, float] = {}
        self._known_totals: dict[tuple[str, Dimensions], tuple[date, int]] = {}
        for data in self._known.values():
            self._remember_total(data)

    def reconfigure(self, queries: Iterable[Query], sources: Mapping[str, PageSource], settlement: Settlement) -> None:
        """Poll by another configuration from now on; everything known stays, and what is settled stays settled.

        A query that asks something else takes what it does not know yet; what is known is as good as told to another.
        """
        before = {query.name: query for query in self._queries}
        self._queries = tuple(queries)
        self._sources, self._settlement = sources, settlement
        same = {
            query.name
            for query in self._queries
            if query.name in before and replace(before[query.name], every=query.every) == query
        }
        self._ended_at = {name: at for name, at in self._ended_at.items() if name in same}
        self._incomplete_since = {name: at for name, at in self._incomplete_since.items() if name in same}

    async def poll(self, query: Query) -> PollReport:
        """Ask everything a query wants today; never raises for what the service does.

        After a poll that did not get everything, one within the interval asks for the rest only. Cancelled, it
        publishes nothing: a scrape never sees half a poll.
        """
        started_at = self._now()
        begun = self._incomplete_since.get(query.name, started_at)
        repeats = 0 < started_at - begun < query.every * (1 - DUE_SOON)
        # Its own last answers are what a query comes to renew; what somebody else asked since then is as good as new.
        fresh_after = begun if repeats else max(started_at - query.every, self._ended_at.get(query.name, 0.0))
        async with asyncio.TaskGroup() as group:
            polls = [
                group.create_task(self._poll_slice(query, slice_, fresh_after, repeats=repeats))
                for slice_ in slices(query, started_at)
            ]
        ended_at = self._now()
        self._ended_at[query.name] = ended_at
        outcomes = tuple(poll.result() for poll in polls)
        self._publish(outcomes, min(started_at, ended_at))
        result = _result(outcomes)
        if result is PollResult.SUCCESS:
            self._incomplete_since.pop(query.name, None)
        else:
            self._incomplete_since[query.name] = begun if repeats else started_at
        return PollReport(query, started_at, ended_at, outcomes, result)

    def _publish(self, outcomes: tuple[SliceOutcome, ...], now: float) -> None:
        """Show what was learnt of some slices, and forget the days that nobody can look at any more."""
        polled = (outcome.slice for outcome in outcomes)
        self.snapshot = self.snapshot.updated(self._known[slice_] for slice_ in polled if slice_ in self._known)
        if not any(outcome.answered for outcome in outcomes):
            # The service refuses whose clock is wrong: a clock that is ahead must not cost what is known.
            return
        oldest = play_dates.play_date(now, play_dates.OLDEST_DAYS_AGO + 1)
        self.snapshot = self.snapshot.since(oldest)
        for slice_ in [slice_ for slice_ in {*self._known, *self._slice_locks} if slice_.play_date < oldest]:
            self._known.pop(slice_, None)
            self._slice_locks.pop(slice_, None)
            self._incomplete.pop(slice_, None)
            self._counted_since.pop(slice_, None)

    async def _poll_slice(self, query: Query, slice_: Slice, fresh_after: float, *, repeats: bool) -> SliceOutcome:
        async with self._slice_locks[slice_]:
            own = plan_fetch(query.media, self._known.get(slice_), fresh_after, self._now())
            if not repeats:  # else counted already
                self._savings.calls_saved(slice_.account, "shared", own.saved_shared)
                self._savings.calls_saved(slice_.account, "settled", own.saved_settled)
            if not own:
                return SliceOutcome(slice_, answered=True)
            short_at, short_by = self._incomplete.get(slice_, (0.0, 0))
            if own.everything and fresh_after < short_at <= self._now() + CLOCK_CORRECTION:
                # Somebody has just read it twice and not found all that is counted: a third time finds no more.
                return SliceOutcome(slice_, answered=True, short_by=short_by)
            others = self._due_plans(query, slice_)
            asked, source = own | others, self._sources[slice_.account]
            search = CallPlanner(asked, self._likely_total(slice_), source.max_in_flight, self._earlier(slice_, asked))
            calls = await run_calls(source, slice_, search)
            # What another query needs must not keep this one from its answer; the other will tell of its failure.
            if search.aborted and others and not any(map(aborts_slice, search.errors)) and search.restrict_to(own):
                calls += await run_calls(source, slice_, search)
            await self._merge_from(search, slice_)
            errors = search.errors
            if search.short_by and (own.everything or others.everything):
                self._incomplete[slice_] = self._now(), search.short_by
            if calls and not errors:
                self._savings.calls_saved(slice_.account, "sweep", max(0, own.naive_calls - calls))
            left = self._missing_ids(own, slice_, fresh_after)
            listed = (own.everything or bool(own.tops)) and search.has_pages and not search.discarded
            return self._outcome(slice_, search, errors, answered=not errors or left != own.ids or listed)

    async def _merge_from(self, search: CallPlanner, slice_: Slice) -> None:
        """What a search was told before anything failed: neither a media nor a page that fails hides any other."""
        if search.discarded or (search.aborted and not search.has_pages):
            return
        observation, known = search.observation(self._now()), self._known.get(slice_)
        if observation.rows or not search.errors:
            if search.inconsistent or (known is not None and observation.total not in {None, known.total}):
                self._counted_since[slice_] = observation.at
            await self._merge(slice_, observation)

    def _earlier(self, slice_: Slice, asked: FetchPlan) -> EarlierRows:
        """Rows of other polls that a listing of a day that can be final may have left out."""
        if not (asked.everything or asked.tops):
            return NO_EARLIER_ROWS
        since = self._counted_since.get(slice_, 0.0)
        return earlier_rows(self._known.get(slice_), self._settlement, since, self._now())

    def _missing_ids(self, own: FetchPlan, slice_: Slice, fresh_after: float) -> frozenset[str]:
        """The media needed by ID that were not told."""
        return plan_fetch(ByIds(own.ids), self._known.get(slice_), fresh_after, self._now()).ids

    def _outcome(
        self, slice_: Slice, search: CallPlanner, errors: list[UpstreamError], *, answered: bool
    ) -> SliceOutcome:
        if any(isinstance(error, NotReady) for error in errors):
            self._known[slice_] = mark_not_ready(self._known.get(slice_), slice_, self._now())
            return SliceOutcome(slice_, answered=True, errors=tuple(errors), problems=search.problems)
        return SliceOutcome(slice_, answered, tuple(errors), search.short_by, search.problems)

    def _due_plans(self, query: Query, slice_: Slice) -> FetchPlan:
        """What other queries need of a slice at about this time: asked together it takes the fewest calls."""
        needs = FetchPlan()
        for other in self._queries:
            now, soon = self._now(), min(other.every * DUE_SOON, SOON_SECONDS)
            # One that has failed lately is not due either: it asks again at its own time.
            asked_lately = now - other.every + soon < self._ended_at.get(other.name, 0.0) <= now + CLOCK_CORRECTION
            if other.name != query.name and not asked_lately and covers(other, slice_, now):
                needs |= plan_fetch(other.media, self._known.get(slice_), now - other.every + soon, now)
        return needs

    def _likely_total(self, slice_: Slice) -> int | None:
        """How many rows a slice had when it was last told, else the newest finished day with the same filters.

        Today's result set is as long as the day is old; no other day's tells about it.
        """
        known = self._known.get(slice_)
        if known is not None and known.total is not None:
            return known.total
        told = self._known_totals.get((slice_.account, slice_.dimensions))
        return told[1] if told and slice_.play_date < play_dates.today(self._now()) else None

    def _remember_total(self, data: SliceData) -> None:
        """How long the result set of a finished day is, the newest of each kind."""
        kind = data.slice.account, data.slice.dimensions
        if data.total is not None and data.slice.play_date < play_dates.today(self._now()):
            self._known_totals[kind] = max(
                self._known_totals.get(kind, (data.slice.play_date, 0)), (data.slice.play_date, data.total)
            )

    async def _merge(self, slice_: Slice, observation: SliceObservation) -> None:
        """Learn, in a thread where that takes long; nobody else learns of the slice meanwhile."""
        given = self._known.get(slice_), slice_, observation, self._settlement
        in_thread = len(observation.rows) > INLINE_ROWS
        data = self._known[slice_] = (
            await asyncio.to_thread(merge_observation, *given) if in_thread else merge_observation(*given)
        )
        self._remember_total(data)


def _result(outcomes: tuple[SliceOutcome, ...]) -> PollResult:
    """`skipped` when nothing was asked, on purpose; `failure` when nothing was answered."""
    if all(outcome.complete for outcome in outcomes):
        return PollResult.SUCCESS
    if any(outcome.answered for outcome in outcomes):
        return PollResult.PARTIAL
    errors = [error for outcome in outcomes for error in outcome.errors]
    on_purpose = all(isinstance(error, AccountPaused | QuotaExceeded) for error in errors)
    return PollResult.SKIPPED if on_purpose else PollResult.FAILURE
