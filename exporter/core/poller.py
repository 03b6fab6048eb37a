"""Polls queries: plans the calls for their slices, runs them and merges the observations into a snapshot."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from exporter.core import play_dates
from exporter.core.call_planner import CallPlanner
from exporter.core.call_runner import aborts_slice, run_calls
from exporter.core.listing import NO_EARLIER_ROWS, EarlierRows, earlier_rows
from exporter.core.merge import mark_not_ready, merge_observation
from exporter.core.model import ByIds, Snapshot
from exporter.core.plan import CLOCK_CORRECTION, FetchPlan, covers, plan_fetch, slices, unpublished_slices
from exporter.core.poll_report import PollReport, PollResult, SliceOutcome, poll_result
from exporter.errors import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from exporter.core.call_runner import PageSource
    from exporter.core.media_details import AccountMetadata
    from exporter.core.model import Dimensions, Query, Slice, SliceData
    from exporter.core.play_dates import Settlement

# Merging this many rows takes some milliseconds; more are merged in a thread.
INLINE_ROWS: Final = 2_000
# Data that another query will need within this part of its interval, SOON_SECONDS at most, is fetched together with the
# data needed now.
DUE_SOON: Final = 0.1
SOON_SECONDS: Final = 60.0


class CallSavingsObserver(Protocol):
    """Counts calls that were not needed."""

    def calls_saved(self, account: str, reason: str, calls: int) -> None:
        """Add saved calls, compared with one per ID or page, dimension, day and poll.

        `reason`: `shared`, `sweep` or `settled`.
        """
        ...


class Poller:
    """Polls queries and merges what they return; a slice that several queries need is fetched once per round.

    * `queries`: all polled queries; data of a slice that several of them need is fetched together.
    * `snapshot`: the data known at the start. It changes only when a poll ends, for all slices of the poll together.
    * `now`: returns seconds since 1970.
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
        # Includes what running polls have merged: another query may use it before it is published.
        self._known: dict[Slice, SliceData] = dict(self.snapshot.slices)
        self._slice_locks: defaultdict[Slice, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ended_at: dict[str, float] = {}
        self._merging = asyncio.Lock()
        # By query, the start of the first poll since the last complete one.
        self._incomplete_since: dict[str, float] = {}
        # When a listing was last incomplete, and how many rows were missing.
        self._incomplete: dict[Slice, tuple[float, int]] = {}
        # Since when rows of a slice may be combined: since they last exceeded the service's total, or the total
        # changed.
        self._counted_since: dict[Slice, float] = {}
        self._known_totals: dict[tuple[str, Dimensions], tuple[date, int]] = {}
        for data in self._known.values():
            self._remember_total(data)

    def reconfigure(self, queries: Iterable[Query], sources: Mapping[str, PageSource], settlement: Settlement) -> None:
        """Apply a new configuration; all data is kept, and what is settled stays settled.

        A query that is new or changed in more than its interval fetches only what is not known yet: known data counts
        as fetched by another query.
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

    def set_queries(self, queries: Iterable[Query]) -> None:
        """Poll these queries from now on: the same ones, with the media that their searches have found."""
        self._queries = tuple(queries)

    def set_metadata(self, metadata: Mapping[str, AccountMetadata]) -> None:
        """Replace the metadata of all accounts in the snapshot."""
        self.snapshot = replace(self.snapshot, metadata=metadata)

    async def poll(self, query: Query) -> PollReport:
        """Fetch everything that a query needs today; errors of the service are reported, not raised.

        A repeat within the interval, after an incomplete poll, fetches the rest only. A cancelled poll publishes
        nothing: a scrape never sees half a poll.
        """
        started_at = self._now()
        incomplete_since = self._incomplete_since.get(query.name, started_at)
        repeats = 0 < started_at - incomplete_since < query.every * (1 - DUE_SOON)
        # A poll refreshes the query's own results; results another query fetched since then count as fresh.
        fresh_after = (
            incomplete_since if repeats else max(started_at - query.every, self._ended_at.get(query.name, 0.0))
        )
        async with asyncio.TaskGroup() as group:
            polls = [
                *(
                    group.create_task(self._poll_slice(query, slice_, fresh_after, repeats=repeats))
                    for slice_ in slices(query, started_at)
                ),
                # Last, so that limited calls are spent on published days first. Days that are known already are neither
                # counted as saved calls nor reported: a poller without expected plays would not need them.
                *(
                    group.create_task(self._poll_slice(query, slice_, fresh_after, repeats=True))
                    for slice_ in unpublished_slices(query, started_at)
                    if plan_fetch(query.media, self._known.get(slice_), fresh_after, started_at)
                    # Merged by a poll that was cancelled before it published.
                    or self._known.get(slice_) is not self.snapshot.slices.get(slice_)
                ),
            ]
        ended_at = self._now()
        self._ended_at[query.name] = ended_at
        outcomes = tuple(poll.result() for poll in polls)
        self._publish(outcomes, min(started_at, ended_at))
        result = poll_result(outcomes)
        if result is PollResult.SUCCESS:
            self._incomplete_since.pop(query.name, None)
        else:
            self._incomplete_since[query.name] = incomplete_since if repeats else started_at
        return PollReport(query, started_at, ended_at, outcomes, result)

    def _publish(self, outcomes: tuple[SliceOutcome, ...], now: float) -> None:
        """Put the polled slices into the snapshot, and drop days that are too old to be requested."""
        polled = (outcome.slice for outcome in outcomes)
        self.snapshot = self.snapshot.updated(self._known[slice_] for slice_ in polled if slice_ in self._known)
        if not any(outcome.answered for outcome in outcomes):
            # The service rejects requests with a wrong clock: a clock that is ahead must not delete data.
            return
        oldest = play_dates.play_date(now, play_dates.OLDEST_DAYS_AGO + 1)
        self.snapshot = self.snapshot.since(oldest)
        for slice_ in [slice_ for slice_ in {*self._known, *self._slice_locks} if slice_.play_date < oldest]:
            for by_slice in (self._known, self._slice_locks, self._incomplete, self._counted_since):
                by_slice.pop(slice_, None)

    async def _poll_slice(self, query: Query, slice_: Slice, fresh_after: float, *, repeats: bool) -> SliceOutcome:
        async with self._slice_locks[slice_]:
            own = plan_fetch(query.media, self._known.get(slice_), fresh_after, self._now())
            if not repeats:  # otherwise counted already
                self._savings.calls_saved(slice_.account, "shared", own.saved_shared)
                self._savings.calls_saved(slice_.account, "settled", own.saved_settled)
            if not own:
                return SliceOutcome(slice_, answered=True)
            short_at, short_by = self._incomplete.get(slice_, (0.0, 0))
            if own.everything and fresh_after < short_at <= self._now() + CLOCK_CORRECTION:
                # Another query has just read the listing twice with rows missing: a third reading finds no more.
                return SliceOutcome(slice_, answered=True, short_by=short_by)
            others = self._due_plans(query, slice_)
            plan, source = own | others, self._sources[slice_.account]
            planner = CallPlanner(plan, self._likely_total(slice_), source.max_in_flight, self._earlier(slice_, plan))
            calls = await run_calls(source, slice_, planner)
            # A failure of what another query needs must not affect this one; the other will report it.
            if planner.aborted and others and not any(map(aborts_slice, planner.errors)) and planner.restrict_to(own):
                calls += await run_calls(source, slice_, planner)
            await self._merge(planner, slice_)
            errors = planner.errors
            if planner.short_by and (own.everything or others.everything):
                self._incomplete[slice_] = self._now(), planner.short_by
            if calls and not errors:
                self._savings.calls_saved(slice_.account, "sweep", max(0, own.naive_calls - calls))
            missing = plan_fetch(ByIds(own.ids), self._known.get(slice_), fresh_after, self._now()).ids
            has_rows = (own.everything or bool(own.tops)) and planner.has_pages and not planner.discarded
            return self._outcome(slice_, planner, answered=not errors or missing != own.ids or has_rows)

    async def _merge(self, planner: CallPlanner, slice_: Slice) -> None:
        """Merge all that was returned: a failed media or page must not hide the others.

        Large observations are merged in a thread, one at a time: several would hold up the event loop in turns. The
        slice's lock is held, so no other merge interferes.
        """
        if planner.discarded or (planner.aborted and not planner.has_pages):
            return
        observation, known = planner.observation(self._now()), self._known.get(slice_)
        if planner.errors and not observation.rows:
            return
        if planner.inconsistent or (known is not None and observation.total not in {None, known.total}):
            self._counted_since[slice_] = observation.at
        arguments = known, slice_, observation, self._settlement
        if len(observation.rows) > INLINE_ROWS:
            async with self._merging:
                data = await asyncio.to_thread(merge_observation, *arguments)
        else:
            data = merge_observation(*arguments)
        self._known[slice_] = data
        self._remember_total(data)

    def _earlier(self, slice_: Slice, plan: FetchPlan) -> EarlierRows:
        """Rows of earlier polls that a listing may leave out, if the day can be final."""
        if not (plan.everything or plan.tops):
            return NO_EARLIER_ROWS
        since = self._counted_since.get(slice_, 0.0)
        return earlier_rows(self._known.get(slice_), self._settlement, since, self._now())

    def _outcome(self, slice_: Slice, planner: CallPlanner, *, answered: bool) -> SliceOutcome:
        errors = tuple(planner.errors)
        if any(isinstance(error, NotReady) for error in errors):
            self._known[slice_] = mark_not_ready(self._known.get(slice_), slice_, self._now())
            return SliceOutcome(slice_, answered=True, errors=errors, problems=planner.problems)
        return SliceOutcome(slice_, answered, errors, planner.short_by, planner.problems)

    def _due_plans(self, query: Query, slice_: Slice) -> FetchPlan:
        """What other queries need of a slice soon: fetching it together takes the fewest calls."""
        plans = FetchPlan()
        for other in self._queries:
            now, soon = self._now(), min(other.every * DUE_SOON, SOON_SECONDS)
            # A query whose last poll failed is not due either: it is repeated at its own time.
            polled_recently = now - other.every + soon < self._ended_at.get(other.name, 0.0) <= now + CLOCK_CORRECTION
            if other.name != query.name and not polled_recently and covers(other, slice_, now):
                plans |= plan_fetch(other.media, self._known.get(slice_), now - other.every + soon, now)
        return plans

    def _likely_total(self, slice_: Slice) -> int | None:
        """The last known total of a slice, otherwise that of the newest finished day with the same filters.

        None for today unless its own total is known: it grows during the day, so other days say nothing about it.
        """
        known = self._known.get(slice_)
        if known is not None and known.total is not None:
            return known.total
        last = self._known_totals.get((slice_.account, slice_.dimensions))
        return last[1] if last and slice_.play_date < play_dates.today(self._now()) else None

    def _remember_total(self, data: SliceData) -> None:
        """Keep the total of the newest finished day for each account and filters."""
        key = data.slice.account, data.slice.dimensions
        if data.total is not None and data.slice.play_date < play_dates.today(self._now()):
            self._known_totals[key] = max(
                self._known_totals.get(key, (data.slice.play_date, 0)), (data.slice.play_date, data.total)
            )
