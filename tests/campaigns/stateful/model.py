"""What must and what may be published, derived from the service's responses; shares no code with the exporter.

Where a poll failed partly, the contract leaves open how much of it counts: several rows are allowed then.
Everywhere else it is exactly one.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from exporter.core.model import ByIds, Everything, Slice, Top

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.model import Media, PlayRow, Query
    from exporter.core.poll_report import SliceOutcome
    from exporter.core.publication import PublishedSlice
    from tests.campaigns.stateful.service import SuccessfulCall

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
# 00:00 UTC+8 is 16:00 UTC of the day before.
_AHEAD: Final = timedelta(hours=8)
# "a day is final 33 h after its start (09:00 next day), seen twice unchanged after that" (the contract); a day later,
# one poll is enough.
SETTLES_AFTER: Final = 33 * HOUR
UNCHANGED: Final = 2


def today(now: float) -> date:
    """The day of UTC+8."""
    return (datetime.fromtimestamp(now, UTC) + _AHEAD).date()


def start(day: date) -> float:
    """00:00 UTC+8 of a day."""
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) - _AHEAD).timestamp()


@dataclass
class AllowedRows:
    """The allowed rows of a video in a slice: one of `rows`; `at`: when it was certainly observed last.

    `same`: how many times in a row, since the day could be final, its numbers were as before; None: not certain.
    """

    rows: list[PlayRow | None] = field(default_factory=list)
    at: float | None = None
    same: int | None = 0

    def allow_only(self, row: PlayRow | None, at: float, *, can_be_final: bool) -> None:
        """Only this row is allowed from now on."""
        before = [_numbers(each) for each in self.rows]
        if _numbers(row) not in before or not can_be_final:
            self.same = 0
        elif self.same is not None:
            self.same += 1
        self.rows, self.at = [row], at

    def allow_also(self, row: PlayRow | None) -> None:
        """This row is allowed too."""
        self.same = None
        if row not in self.rows:
            self.rows.append(row)


def _numbers(row: PlayRow | None) -> tuple[float | None, ...] | None:
    """A changed title does not change the numbers."""
    if row is None:
        return None
    return row.viewers, row.plays, row.plays_per_viewer, row.play_duration, row.play_duration_per_viewer


@dataclass
class SliceModel:
    """Everything about one slice; `ready` and `updated_at` are None while they are not certain.

    `responded_at`: when a response was certainly used last. `maybe_responded_at`: when one was returned last.
    """

    media: dict[str, AllowedRows] = field(default_factory=dict)
    responded_at: float | None = None
    maybe_responded_at: float | None = None
    ready: bool | None = True
    updated_at: float | None = None
    totals: set[int] = field(default_factory=set)
    settled: tuple[frozenset[Media], dict[str, PlayRow | None]] | None = None

    def allowed(self, media_id: str) -> AllowedRows:
        """The allowed rows of a video."""
        return self.media.setdefault(media_id, AllowedRows())


@dataclass
class Model:
    """The expected data of every video by slice; `saved`: what a restart restores."""

    queries: tuple[Query, ...]
    universe: frozenset[str]
    slices: dict[Slice, SliceModel] = field(default_factory=dict)
    saved: dict[Slice, SliceModel] = field(default_factory=dict)

    def of(self, slice_: Slice) -> SliceModel:
        """A slice."""
        return self.slices.setdefault(slice_, SliceModel())

    def wants(self, slice_: Slice, now: float) -> frozenset[Media]:
        """The wants of all queries for a slice now."""
        ago = (today(now) - slice_.play_date).days
        return frozenset(q.media for q in self.queries if ago in q.days_ago and slice_.dimensions in q.dimensions)

    def wanted(self, now: float) -> set[Slice]:
        """Every slice that a query covers now."""
        return {
            Slice(query.account, dimensions, today(now) - timedelta(days=ago))
            for query in self.queries
            for dimensions in query.dimensions
            for ago in query.days_ago
        }

    def polled(self, query: Query, outcome: SliceOutcome, responses: Iterable[SuccessfulCall], now: float) -> None:
        """Record the finished poll of a slice with its successful calls."""
        responses = tuple(responses)
        of = self.of(outcome.slice)
        refused = [error for error in outcome.errors if error.code != "Meter.ReadyTsError"]
        only_pages = all(call.media_id is None for call in responses)
        if len(refused) < len(outcome.errors):
            of.ready, of.responded_at, of.maybe_responded_at = False, now, now
        elif responses:
            # Of a listing that could not be read to its end, what is wanted may be on the pages that are missing.
            of.responded_at = of.responded_at if outcome.errors and only_pages else now
            of.maybe_responded_at = now
            of.ready = True if not outcome.errors else None
        if responses:
            of.updated_at = now if not outcome.errors else None
            of.totals |= {call.page.total_count for call in responses if call.page.total_count is not None}
        rows = dict(rows_of(responses))
        if listed_whole(responses):
            rows = {**dict.fromkeys(self.universe), **rows}
        certain = self._certain(query, outcome, responses, now)
        can_be_final = now >= start(outcome.slice.play_date) + SETTLES_AFTER
        for media_id in rows.keys() | certain:
            if media_id in certain:
                of.allowed(media_id).allow_only(rows.get(media_id), now, can_be_final=can_be_final)
            else:
                of.allowed(media_id).allow_also(rows[media_id])

    def _certain(
        self, query: Query, outcome: SliceOutcome, responses: tuple[SuccessfulCall, ...], now: float
    ) -> set[str]:
        """The media whose responses the poll has certainly used."""
        by_id = {call.media_id for call in responses if call.media_id is not None}
        if outcome.errors or not responses:
            return by_id
        of = self.of(outcome.slice)
        match query.media:
            case Everything():
                return set(self.universe)
            case Top(n, by):
                in_order = [row.media_id for call in responses if call.order_by is by for row in call.page.rows]
                return by_id | set(dict.fromkeys(in_order[:n]))
            case ByIds(ids):
                pages = not by_id
                never_settled = now < start(outcome.slice.play_date) + SETTLES_AFTER
                all_needed = all(not (t.at and now - query.every < t.at) for t in of.media.values())
                sole = len(self.wants(outcome.slice, now)) == 1
                return set(ids) if pages and never_settled and all_needed and sole else by_id

    def settle(self, published: PublishedSlice, now: float) -> None:
        """The slice was published as settled: it must remain so."""
        wants = self.wants(published.slice, now)
        of = self.of(published.slice)
        if of.settled is None or of.settled[0] != wants:
            of.settled = (wants, dict(published.rows)) if published.settled else None

    def save(self, slices: Iterable[Slice]) -> None:
        """These slices are stored now."""
        for slice_ in slices:
            self.saved[slice_] = deepcopy(self.of(slice_))

    def restore(self) -> None:
        """A new process knows the stored data."""
        self.slices = deepcopy(self.saved)


def listed_whole(responses: Iterable[SuccessfulCall]) -> bool:
    """Whether the pages of one order contain as many media as the total: all others had no plays."""
    listed: dict[object, set[str]] = {}
    counted: dict[object, int | None] = {}
    for call in responses:
        if call.media_id is None:
            listed.setdefault(call.order_by, set()).update(row.media_id for row in call.page.rows)
            counted[call.order_by] = call.page.total_count
    return any(len(listed[by]) >= (counted[by] or 0) for by in listed)


def rows_of(responses: Iterable[SuccessfulCall]) -> Mapping[str, PlayRow | None]:
    """The last returned row by media; None: requested, without plays."""
    rows: dict[str, PlayRow | None] = {}
    for call in responses:
        if call.media_id is not None:
            rows[call.media_id] = None
        rows |= {row.media_id: row for row in call.page.rows}
    return rows
