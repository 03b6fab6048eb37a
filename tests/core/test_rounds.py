"""Any queries, result sets and errors over several rounds: published data was returned, and no call is repeated."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import event, given, settings
from hypothesis import strategies as st

from exporter.core.model import ByIds, Dimensions, Everything, Measure, Page, PlayRow, Query, Slice, Top
from exporter.core.plan import requested_slices
from exporter.core.publication import Publication, PublicationRules
from exporter.core.publication_builder import publish
from exporter.errors import ErrorKind, UpstreamError
from tests.core.fake_service import (
    ALL,
    NOON,
    TODAY,
    FakeService,
    failure,
    not_ready,
    row,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.model import Media
    from exporter.core.poll_report import PollResult

EVERY = 900.0
# Around a full page, and of several pages; few sizes, so that examples are fast.
SIZES = (0, 1, 3, 99, 100, 101, 250, 350)
MEASURES = (Measure.PLAYS, Measure.PLAY_DURATION)
FILTERED = Dimensions(terminal_type="Web")

ERRORS: dict[str, Callable[[], UpstreamError]] = {
    "server": failure,
    "not_ready": not_ready,
    "parameter": lambda: failure(ErrorKind.PARAMETER, "Meter.ParamError"),
    "auth": lambda: failure(ErrorKind.AUTH, "Meter.AuthError"),
    "malformed": lambda: failure(ErrorKind.MALFORMED, "malformed"),
}

POLLED_QUERY: ContextVar[str] = ContextVar("POLLED_QUERY")


@dataclass(frozen=True)
class Round:
    """How the service behaves in one round.

    * `sizes`: rows of each slice. `total_errors`: of TotalCount; None: not given. Both by the number of the slice.
    * `errors`: by the number of the call.
    * `drift`: every `drift`th media has other numbers in each call, and so another position (0: none).
    """

    sizes: tuple[int, ...]
    total_errors: tuple[int | None, ...]
    errors: dict[int, str]
    drift: int
    shift: int


@dataclass
class RoundLog:
    """What the service returned and was requested within a round."""

    listed: defaultdict[tuple[Slice, Measure], set[str]] = field(default_factory=lambda: defaultdict(set))
    totals: dict[tuple[Slice, Measure], int | None] = field(default_factory=dict)
    requests: Counter[tuple[str, Slice, str | None, Measure | None, int]] = field(default_factory=Counter)
    failed: set[Slice] = field(default_factory=set)


@dataclass
class Service(FakeService):
    """Records what it returned for each slice."""

    round: Round = Round((0,), (0,), {}, 0, 0)
    log: RoundLog = field(default_factory=RoundLog)
    returned: defaultdict[Slice, set[PlayRow]] = field(default_factory=lambda: defaultdict(set))
    without_row: set[tuple[Slice, str]] = field(default_factory=set)
    listed: defaultdict[Slice, list[frozenset[str]]] = field(default_factory=lambda: defaultdict(list))
    history: list[tuple[float, dict[Slice, dict[str, PlayRow]]]] = field(default_factory=list)
    wrong_totals: set[Slice] = field(default_factory=set)

    def begin(self, slices: set[Slice], round_: Round) -> None:
        self.round, self.log = round_, RoundLog()
        self.history.append((self.now, {s: {each.media_id: each for each in self._rows(s)} for s in slices}))
        self.wrong_totals |= {slice_ for slice_ in slices if self.total_error(slice_) != 0}

    def end(self) -> None:
        """Keep complete listings: a video that is not on them had no plays."""
        for (slice_, by), listed in self.log.listed.items():
            total = self.log.totals[slice_, by]
            if total is not None and len(listed) >= total:
                self.listed[slice_].append(frozenset(listed))

    def total_error(self, slice_: Slice) -> int | None:
        """The error of TotalCount; None: it is not given."""
        return self.round.total_errors[_number(slice_) % len(self.round.total_errors)]

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        number = len(self.calls)
        self.log.requests[POLLED_QUERY.get(), slice_, media_id, order_by, page] += 1
        self.rows[slice_] = self._rows(slice_, number)
        total_error = self.total_error(slice_) if media_id is None else 0
        found = len(self.rows[slice_]) if media_id is None else sum(r.media_id == media_id for r in self.rows[slice_])
        self.totals[slice_] = None if total_error is None else max(0, found + total_error)
        self.refuse = lambda *_: ERRORS[self.round.errors[number % 50]]() if number % 50 in self.round.errors else None
        try:
            answer = await super().page(slice_, page=page, page_size=page_size, media_id=media_id, order_by=order_by)
        except UpstreamError:
            self.log.failed.add(slice_)
            raise
        self.returned[slice_] |= set(answer.rows)
        if media_id is not None and not answer.rows:
            self.without_row.add((slice_, media_id))
        if order_by is not None:
            self.log.listed[slice_, order_by] |= {each.media_id for each in answer.rows}
            self.log.totals[slice_, order_by] = answer.total_count
        return answer

    def _rows(self, slice_: Slice, call: int = 0) -> list[PlayRow]:
        """Rows that no other slice has: `viewers` is the number of the slice."""
        number, now = _number(slice_), self.round
        return [
            row(
                f"m{i:03}",
                plays=(i * 7919 + now.shift * 31 + number) % 997
                + (500 if now.drift and (i + call) % now.drift == 0 else 0),
                play_duration=(i * 104_729 + now.shift) % 991,
                viewers=number,
            )
            for i in range(now.sizes[number % len(now.sizes)])
        ]


def _number(slice_: Slice) -> int:
    return (TODAY - slice_.play_date).days * 2 + (slice_.dimensions == FILTERED)


some_media: st.SearchStrategy[Media] = st.one_of(
    # On the first page, on later ones, and without plays.
    st.frozensets(
        st.sampled_from([f"m{i:03}" for i in (0, 1, 2, 50, 98, 99, 100, 240, 349)] + ["n1", "n2"]), min_size=1
    ).map(ByIds),
    st.builds(Top, st.sampled_from([1, 10, 100, 150]), st.sampled_from(MEASURES)),
    st.just(Everything()),
)


@st.composite
def some_queries(draw: st.DrawFn) -> tuple[Query, ...]:
    return tuple(
        Query(
            f"q{n}",
            "main",
            EVERY * draw(st.integers(1, 3)),
            draw(some_media),
            draw(st.sampled_from([(ALL,), (ALL, FILTERED), (FILTERED,)])),
            draw(st.sampled_from([(0,), (1,), (0, 1), (1, 2)])),
        )
        for n in range(draw(st.integers(1, 3)))
    )


def some_rounds(
    total_errors: st.SearchStrategy[int | None],
    errors: st.SearchStrategy[dict[int, str]],
    drift: st.SearchStrategy[int],
) -> st.SearchStrategy[list[Round]]:
    few = st.lists(st.sampled_from(SIZES), min_size=1, max_size=3).map(tuple)
    return st.lists(
        st.builds(
            Round,
            few,
            st.lists(total_errors, min_size=1, max_size=3).map(tuple),
            errors,
            drift,
            shift=st.integers(0, 2),
        ),
        min_size=1,
        max_size=5,
    )


any_rounds = some_rounds(
    st.sampled_from([0, 0, 0, -120, -1, 1, 100, None]),
    st.dictionaries(st.integers(0, 49), st.sampled_from(sorted(ERRORS)), max_size=6),
    st.sampled_from([0, 0, 2, 7]),
)
# Totals are right, all calls succeed and no row moves during a reading; numbers change between rounds only.
consistent_rounds = some_rounds(st.just(0), st.just({}), st.just(0))


async def play(queries: tuple[Query, ...], rounds: list[Round], *, consistent: bool = False) -> None:
    """Poll all due queries of each round concurrently, and compare what is published with what was returned."""
    service = Service(now=NOON)
    poller = service.poller(queries=queries)
    rules = PublicationRules(queries, stale_after=2 * 86_400.0, series_limit=1_000_000)

    async def request_one(query: Query) -> PollResult:
        POLLED_QUERY.set(query.name)
        return (await poller.poll(query)).result

    for number, round_ in enumerate(rounds):
        service.now = NOON + number * EVERY
        service.begin(set(requested_slices(queries, service.now)), round_)
        due = [query for query in queries if number % int(query.every / EVERY) == 0]
        results = await asyncio.gather(*(request_one(query) for query in due))
        service.end()
        publication = publish(poller.snapshot, rules, service.now)
        check_calls(service)
        check(publication, queries, service)
        event(f"a poll ended as {results[0]}" if results else "no poll was due")
        if consistent:
            assert set(results) <= {"success"}
            for query in due:
                check_known(publication, query, service)


def check(publication: Publication, queries: tuple[Query, ...], service: Service) -> None:
    """Every number belongs to its media, slice and day; every zero is right; nothing else is published."""
    wants = requested_slices(queries, service.now)
    for published in publication.slices:
        slice_ = published.slice
        assert slice_.play_date == TODAY - timedelta(days=published.days_ago)
        by_id = frozenset[str]().union(*(want.ids for want in wants[slice_] if isinstance(want, ByIds)))
        for media_id, published_row in published.rows.items():
            if published_row is not None:
                assert published_row.media_id == media_id
                assert published_row in service.returned[slice_], f"never returned for {slice_}: {published_row}"
            else:
                assert media_id in by_id, "only a video requested by ID can be a zero"
                assert (slice_, media_id) in service.without_row or any(
                    media_id not in listed for listed in service.listed[slice_]
                ), f"{media_id} is a zero without evidence"
                assert slice_ in service.wrong_totals or any(
                    media_id not in rows[slice_] for _, rows in service.history
                )
        if not any(isinstance(want, Everything) for want in wants[slice_]):
            tops = sum(want.n for want in wants[slice_] if isinstance(want, Top))
            assert len(published.rows.keys() - by_id) <= tops


def check_known(publication: Publication, query: Query, service: Service) -> None:
    """All that a query wants of today is published, and no older than its interval."""
    recent = [rows for at, rows in service.history if at > service.now - query.every]
    published = {each.slice: each.rows for each in publication.slices}
    for slice_ in requested_slices([query], service.now):
        if slice_.play_date != TODAY:
            continue  # another day may have settled: then it is not requested again
        rows, were = published[slice_], [each[slice_] for each in recent]
        match query.media:
            case ByIds(ids):
                assert all(any(rows[media_id] == was.get(media_id) for was in were) for media_id in ids)
            case Top(n, by):
                firsts = [sorted(was.values(), key=lambda r: -(getattr(r, by.value)))[:n] for was in were]
                assert any(all(rows.get(r.media_id) is not None for r in first) for first in firsts)
            case Everything():
                for media_id in set[str]().union(*were):
                    assert any(rows.get(media_id) == was.get(media_id) for was in were)


def check_calls(service: Service) -> None:
    """No poll repeats a call, except in a second reading; nor do the polls of a round in which all calls succeeded."""
    for (_, slice_, media_id, by, _), times in service.log.requests.items():
        assert times <= (1 if by is None or not short(service, slice_) else 2), (slice_, media_id, by)
    of_the_round: Counter[tuple[Slice, str | None, Measure | None, int]] = Counter()
    for (_, *call), times in service.log.requests.items():
        of_the_round[tuple(call)] += times  # type: ignore[index] # the query's name is left out
    for (slice_, media_id, by, page), times in of_the_round.items():
        no_repeats = slice_ not in service.log.failed and service.total_error(slice_) == 0 and not service.round.drift
        assert times == 1 or not no_repeats, (slice_, media_id, by, page)


def short(service: Service, slice_: Slice) -> bool:
    """Whether a listing of that slice may have ended with rows missing: only if totals are wrong or rows move."""
    return bool(service.round.drift or service.total_error(slice_) not in {0, None})


@settings(max_examples=200)
@given(some_queries(), any_rounds)
async def test_every_published_number_was_returned_by_the_service(
    queries: tuple[Query, ...], rounds: list[Round]
) -> None:
    await play(queries, rounds)


@settings(max_examples=100)
@given(some_queries(), consistent_rounds)
async def test_with_correct_totals_all_media_are_known_and_zeros_are_right(
    queries: tuple[Query, ...], rounds: list[Round]
) -> None:
    await play(queries, rounds, consistent=True)
