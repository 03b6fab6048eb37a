from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import cycle
from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.call_planner import CallPlanner, MediaRequest
from exporter.core.listing import EarlierRows
from exporter.core.model import Measure, Page, PlayRow, RowProblem, Top
from exporter.core.page_reader import PageRequest
from exporter.core.plan import PAGE_SIZE, FetchPlan
from tests.core.fake_service import failure, row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.core.observation import SliceObservation

MOST_PLAYED = [f"m{i:05}" for i in range(60_000)]


@cache
def most_played(media: int) -> tuple[PlayRow, ...]:
    return tuple(row(m, plays=100_000 - i, play_duration=i) for i, m in enumerate(MOST_PLAYED[:media]))


@dataclass
class Service:
    """A result set; `hide` rows are missing from its pages."""

    rows: list[PlayRow]
    calls: list[MediaRequest | PageRequest] = field(default_factory=list)
    hide: frozenset[str] = frozenset()
    ranked: dict[Measure, list[PlayRow]] = field(default_factory=dict)

    @classmethod
    def of(cls, media: int, **changed: object) -> Service:
        return cls(list(most_played(media)), **changed)  # type: ignore[arg-type]

    @cached_property
    def by_id(self) -> dict[str, list[PlayRow]]:
        found: dict[str, list[PlayRow]] = {}
        for each in self.rows:
            found.setdefault(each.media_id, []).append(each)
        return found

    def respond(self, request: MediaRequest | PageRequest) -> Page:
        self.calls.append(request)
        match request:
            case MediaRequest(media_id):
                found = tuple(self.by_id.get(media_id, ()))
                return Page(found, len(found), "R")
            case PageRequest(by, number, size):
                if by not in self.ranked:
                    self.ranked[by] = sorted(self.rows, key=lambda each: -(getattr(each, by.value) or 0))
                ranked = self.ranked[by]
                page = ranked[(number - 1) * size : number * size]
                return Page(tuple(each for each in page if each.media_id not in self.hide), len(ranked), "R")

    def observe(self, need: FetchPlan, likely_total: int | None = None) -> SliceObservation:
        planner = CallPlanner(need, likely_total)
        while (request := planner.next()) is not None:
            planner.on_page(request, self.respond(request))
        return planner.observation(1.0)


def wanted_media(k: int, media: int, *, unplayed: bool = False) -> frozenset[str]:
    """K media: spread over a result set and beyond it, or all of them without plays."""
    if unplayed:
        return frozenset(f"none{i}" for i in range(k))
    return frozenset(MOST_PLAYED[(i * max(1, media) * 2 // max(1, k)) % 60_000] for i in range(k))


@pytest.mark.parametrize("media", [0, 50, 1_000, 50_000])
@pytest.mark.parametrize("k", [1, 3, 30, 300, 3_000])
@pytest.mark.parametrize("unplayed", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_the_calls_for_k_media_in_p_pages_are_bounded(k: int, media: int, *, unplayed: bool, known: bool) -> None:
    service = Service.of(media)
    wanted = wanted_media(k, media, unplayed=unplayed)

    observation = service.observe(FetchPlan(ids=wanted), media if known else None)

    pages = ceil(media / PAGE_SIZE)
    assert len(service.calls) <= min(len(wanted), pages) + (1 if known else 2)
    assert wanted == observation.rows.keys()
    assert observation.is_whole


@given(
    media=st.integers(0, 450),
    wanted=st.sets(st.integers(0, 500), min_size=1, max_size=120),
    likely=st.none() | st.integers(0, 600),
)
def test_every_media_has_its_row_or_a_zero_and_no_call_is_repeated(
    media: int, wanted: set[int], likely: int | None
) -> None:
    service = Service.of(media)
    ids = frozenset(MOST_PLAYED[i] for i in wanted)

    observation = service.observe(FetchPlan(ids=ids), likely)

    truth = {each.media_id: each for each in service.rows}
    assert observation.rows == {media_id: truth.get(media_id) for media_id in ids}
    assert len(service.calls) == len(set(service.calls))
    pages = ceil(media / PAGE_SIZE)
    right = likely is not None and ceil(likely / PAGE_SIZE) == pages
    unknown = likely is None
    assert len(service.calls) <= (min(len(ids), pages) if right or unknown else len(ids)) + (2 if unknown else 1)


@given(
    media=st.integers(0, 450),
    wanted=st.sets(st.integers(0, 500), max_size=20),
    tops=st.dictionaries(st.sampled_from([Measure.PLAYS, Measure.PLAY_DURATION]), st.integers(1, 350)),
    everything=st.booleans(),
)
def test_one_planner_finds_tops_everything_and_media_by_id(
    media: int, wanted: set[int], tops: dict[Measure, int], *, everything: bool
) -> None:
    service = Service.of(media)
    ids = frozenset(MOST_PLAYED[i] for i in wanted)
    need = FetchPlan(ids=ids, tops=tops, everything=everything)

    observation = service.observe(need)

    truth = {each.media_id: each for each in service.rows}
    assert all(found == truth.get(media_id) for media_id, found in observation.rows.items())
    assert ids <= observation.rows.keys()
    if everything:
        assert observation.listed
        assert truth.keys() <= observation.rows.keys()
    for by, n in tops.items():
        best = sorted(service.rows, key=lambda each: -(getattr(each, by.value) or 0))[:n]
        assert {each.media_id for each in best} <= observation.rows.keys()
        if not observation.listed:
            assert (Top(n, by), tuple(each.media_id for each in best)) in observation.tops
    if need:
        assert len(service.calls) == len(set(service.calls))


@given(
    media=st.integers(101, 450),
    hidden=st.sets(st.integers(0, 449), min_size=1, max_size=30),
    wanted=st.sets(st.integers(0, 500), min_size=5, max_size=60),
)
def test_a_row_that_moved_between_pages_is_requested_by_id_and_never_a_zero(
    media: int, hidden: set[int], wanted: set[int]
) -> None:
    service = Service.of(media, hide=frozenset(MOST_PLAYED[i] for i in hidden))
    ids = frozenset(MOST_PLAYED[i] for i in wanted)

    observation = service.observe(FetchPlan(ids=ids))

    truth = {each.media_id: each for each in service.rows}
    assert observation.rows == {media_id: truth.get(media_id) for media_id in ids}
    assert not observation.listed or not hidden & set(range(media))


def test_a_listing_is_read_only_until_the_wanted_media_are_found() -> None:
    service = Service.of(10_000)

    service.observe(FetchPlan(ids=frozenset(MOST_PLAYED[:250])), 10_000)

    assert service.calls == [PageRequest(Measure.PLAYS, number, 100) for number in (1, 2, 3)]


def test_popular_media_are_found_on_the_first_page_and_others_requested_by_id() -> None:
    service = Service.of(50_000)

    service.observe(FetchPlan(ids=frozenset({*MOST_PLAYED[:20], "seldom", "never"})))

    pages = [
        PageRequest(Measure.PLAYS, 1, 100),
        PageRequest(Measure.PLAYS, 2, 100),
    ]  # one more because the first contained wanted media
    assert service.calls == [*pages, MediaRequest("never"), MediaRequest("seldom")]


def test_rows_of_other_media_are_not_kept_when_media_are_wanted_by_id() -> None:
    observation = Service.of(150).observe(FetchPlan(ids=frozenset(MOST_PLAYED[100:130])))

    assert observation.rows.keys() == set(MOST_PLAYED[100:130])
    assert (observation.listed, observation.total) == (False, 150)


def test_a_total_that_is_too_low_ends_the_pages_and_media_are_requested_by_id() -> None:
    service = Service.of(50_000)
    planner = CallPlanner(FetchPlan(ids=frozenset({"a", "b", "c"})), None)
    while (request := planner.next()) is not None:
        page = service.respond(request)
        planner.on_page(request, Page(page.rows, 1 if isinstance(request, PageRequest) else 0, "R"))

    assert service.calls == [
        PageRequest(Measure.PLAYS, 1, 100),
        MediaRequest("a"),
        MediaRequest("b"),
        MediaRequest("c"),
    ]


def test_a_failed_media_is_not_requested_again_and_the_observation_is_not_whole() -> None:
    planner = CallPlanner(FetchPlan(ids=frozenset({"a"})), 1000)
    request = planner.next()
    assert request == MediaRequest("a")

    planner.on_error(request, failure())

    assert planner.next() is None
    assert not planner.observation(1.0).is_whole


@dataclass
class Run:
    """Runs a planner whose calls complete in any order; some fail."""

    service: Service
    planner: CallPlanner
    fails: frozenset[MediaRequest | PageRequest] = frozenset()
    most_in_flight: int = 0

    def run(self, order: Iterator[int]) -> Run:
        in_flight_calls: list[MediaRequest | PageRequest] = []
        while True:
            while (request := self.planner.next()) is not None:
                in_flight_calls.append(request)
            assert self.planner.in_flight == len(in_flight_calls)
            self.most_in_flight = max(self.most_in_flight, len(in_flight_calls))
            if not in_flight_calls:
                return self
            request = in_flight_calls.pop(next(order) % len(in_flight_calls))
            page = self.service.respond(request)
            if request in self.fails:
                self.planner.on_error(request, failure())
            else:
                self.planner.on_page(request, page)
            in_flight_calls = [each for each in in_flight_calls if self.planner.still_needed(each)]

    @property
    def outcome(self) -> tuple[SliceObservation, bool, int]:
        return self.planner.observation(1.0), self.planner.aborted, len(self.planner.errors)


def played(
    service: Service,
    need: FetchPlan,
    likely: int | None,
    max_in_flight: int,
    order: Iterable[int] = (0,),
    fails: frozenset[MediaRequest | PageRequest] = frozenset(),
) -> Run:
    return Run(service, CallPlanner(need, likely, max_in_flight), fails).run(cycle(order))


some_needs = st.builds(
    lambda wanted, tops, everything: FetchPlan(
        ids=frozenset(MOST_PLAYED[i] for i in wanted), tops=tops, everything=everything
    ),
    st.sets(st.integers(0, 1_500), max_size=20) | st.just(set(range(1_400))),
    st.dictionaries(st.sampled_from([Measure.PLAYS, Measure.PLAY_DURATION]), st.integers(1, 1_200), max_size=2),
    st.booleans(),
)
orders = st.lists(st.integers(0, 7), min_size=1, max_size=40)


@given(st.integers(0, 1_300), some_needs, st.none() | st.integers(0, 1_300), st.integers(2, 8), orders)
def test_concurrent_calls_are_the_same_as_sequential_ones(
    media: int, need: FetchPlan, likely: int | None, max_in_flight: int, order: list[int]
) -> None:
    sequential = played(Service.of(media), need, likely, 1)

    concurrent = played(Service.of(media), need, likely, max_in_flight, order)

    assert sorted(map(repr, concurrent.service.calls)) == sorted(map(repr, sequential.service.calls))
    assert concurrent.outcome == sequential.outcome
    assert (sequential.most_in_flight, concurrent.most_in_flight <= max_in_flight) in {(1, True), (0, True)}


@given(
    st.integers(0, 1_300),
    some_needs,
    st.integers(2, 8),
    orders,
    st.frozensets(st.builds(PageRequest, st.sampled_from(Measure), st.integers(1, 14), st.just(100)), max_size=4)
    # Two at most: three in a row stop the planner, and the order of the responses decides which are in a row.
    | st.frozensets(st.builds(MediaRequest, st.sampled_from(MOST_PLAYED[:1_500])), max_size=2),
    st.sets(st.integers(0, 1_299), max_size=400),
)
def test_with_failures_or_missing_rows_few_concurrent_calls_are_wasted_and_the_outcome_is_the_same(
    media: int, need: FetchPlan, max_in_flight: int, order: list[int], fails: frozenset[PageRequest], hidden: set[int]
) -> None:
    hide = frozenset(MOST_PLAYED[i] for i in hidden)
    sequential = played(Service.of(media, hide=hide), need, None, 1, fails=frozenset(fails))

    concurrent = played(Service.of(media, hide=hide), need, None, max_in_flight, order, fails=frozenset(fails))

    wasted = len(concurrent.service.calls) - len(sequential.service.calls)
    readings = 2 * max(1, len(need.tops))
    assert 0 <= wasted <= (max_in_flight - 1) * readings
    assert concurrent.outcome[0] == sequential.outcome[0]
    assert concurrent.outcome[1:] == sequential.outcome[1:]


def in_flight_calls(planner: CallPlanner) -> list[MediaRequest | PageRequest]:
    return list(iter(planner.next, None))


def test_the_first_call_runs_alone_and_the_remaining_pages_follow_concurrently() -> None:
    planner = CallPlanner(FetchPlan(everything=True), 1_000, 8)
    (first,) = in_flight_calls(planner)

    planner.on_page(first, Service.of(450).respond(first))

    assert in_flight_calls(planner) == [PageRequest(Measure.PLAYS, number, 100) for number in (2, 3, 4, 5)]


def test_a_slow_page_does_not_raise_the_number_of_pages_requested_ahead() -> None:
    service, planner = Service.of(2_000), CallPlanner(FetchPlan(everything=True), None, 4)
    (first,) = in_flight_calls(planner)
    planner.on_page(first, service.respond(first))
    slow, *others = in_flight_calls(planner)

    for request in others:
        planner.on_page(request, service.respond(request))
    assert in_flight_calls(planner) == []

    planner.on_page(slow, service.respond(slow))
    assert len(in_flight_calls(planner)) == 4


def test_no_more_media_are_in_flight_than_failures_that_stop_the_planner() -> None:
    planner = CallPlanner(FetchPlan(ids=frozenset("abcdefgh")), 100_000, 8)
    (first,) = in_flight_calls(planner)
    planner.on_page(first, Page((), 0, "R"))

    concurrent = in_flight_calls(planner)
    assert concurrent == [MediaRequest("b"), MediaRequest("c"), MediaRequest("d")]

    for request in concurrent:
        assert in_flight_calls(planner) == []
        planner.on_error(request, failure())
    assert in_flight_calls(planner) == []
    assert planner.stopped


def test_calls_in_flight_are_not_needed_after_an_error_that_aborts_the_slice() -> None:
    planner = CallPlanner(FetchPlan(everything=True), None, 4)
    (first,) = in_flight_calls(planner)
    planner.on_page(first, Service.of(900).respond(first))
    second, third, *_ = in_flight_calls(planner)

    planner.on_error(third, failure(), aborts_slice=True)

    assert not planner.still_needed(second)
    assert (planner.in_flight, planner.aborted, in_flight_calls(planner)) == (0, True, [])


def test_a_page_is_as_long_as_the_top_unless_media_are_wanted_too() -> None:
    assert CallPlanner(FetchPlan(tops={Measure.PLAYS: 10}), None).next() == PageRequest(Measure.PLAYS, 1, 10)
    assert CallPlanner(FetchPlan(tops={Measure.PLAYS: 250}), None).next() == PageRequest(Measure.PLAYS, 1, PAGE_SIZE)
    with_media = FetchPlan(ids=frozenset({"a"}), tops={Measure.PLAYS: 10})
    assert CallPlanner(with_media, None).next() == PageRequest(Measure.PLAYS, 1, PAGE_SIZE)


@pytest.mark.parametrize("n", [50, 51, 100])
def test_a_top_that_contains_every_row_is_a_complete_listing(n: int) -> None:
    observation = Service.of(50).observe(FetchPlan(tops={Measure.PLAYS: n}))

    assert (observation.listed, observation.tops, len(observation.rows)) == (True, (), 50)


def test_a_top_stays_a_top_when_its_page_contains_every_row() -> None:
    last = MOST_PLAYED[49]

    observation = Service.of(50).observe(FetchPlan(ids=frozenset({last}), tops={Measure.PLAYS: 10}))

    assert observation.rows.keys() == {*MOST_PLAYED[:10], last}
    assert (observation.listed, observation.tops) == (False, ((Top(10, Measure.PLAYS), tuple(MOST_PLAYED[:10])),))


def test_all_pages_of_a_top_are_requested_concurrently() -> None:
    planner = CallPlanner(FetchPlan(tops={Measure.PLAYS: 250}), None, 8)
    (first,) = in_flight_calls(planner)

    planner.on_page(first, Service.of(5_000).respond(first))

    assert in_flight_calls(planner) == [PageRequest(Measure.PLAYS, number, 100) for number in (2, 3)]


def test_a_top_by_another_measure_is_sorted_from_an_incomplete_listing() -> None:
    media = [row("long", 1, play_duration=9), row("short", 2, play_duration=0.5), row("unknown", 3)]
    planner = CallPlanner(FetchPlan(tops={Measure.PLAY_DURATION: 3}, everything=True), None)

    while (request := planner.next()) is not None:
        page = Service(media).respond(request)
        planner.on_page(request, Page(page.rows, 7, "R"))

    observation = planner.observation(1.0)
    assert (observation.listed, observation.is_whole) == (False, False)
    assert observation.tops == ((Top(3, Measure.PLAY_DURATION), ("long", "short", "unknown")),)


def test_a_response_between_failures_resets_their_count() -> None:
    media = "abcdef"
    planner = CallPlanner(FetchPlan(ids=frozenset(media)), 100_000)
    fails = {"a": True, "b": True, "c": False, "d": True, "e": True, "f": True}

    for media_id in media:
        assert not planner.stopped
        request = planner.next()
        assert request == MediaRequest(media_id)
        if fails[media_id]:
            planner.on_error(request, failure())
        else:
            planner.on_page(request, Page((), 0, "R"))

    assert planner.stopped
    assert len(planner.errors) == 5


def aborted_planner(own: FetchPlan, others: FetchPlan, max_in_flight: int = 1) -> CallPlanner:
    """A planner for two queries after its second page by play duration has failed; all earlier pages succeeded."""
    planner, service = CallPlanner(own | others, 100_000, max_in_flight), Service.of(5_000)
    while not planner.aborted:
        request = planner.next()
        assert isinstance(request, PageRequest)
        if (request.by, request.number) == (Measure.PLAY_DURATION, 2):
            planner.on_error(request, failure())
        else:
            planner.on_page(request, service.respond(request))
    return planner


LONG = FetchPlan(ids=frozenset("z"), tops={Measure.PLAY_DURATION: 150})


def test_after_a_page_for_another_query_failed_only_the_own_plan_is_requested() -> None:
    own = FetchPlan(ids=frozenset("abcdefgh"))
    planner = aborted_planner(own, LONG, max_in_flight=8)

    assert planner.restrict_to(own)

    assert (planner.aborted, planner.errors) == (False, [])
    assert in_flight_calls(planner) == [MediaRequest("a"), MediaRequest("b"), MediaRequest("c")]


def test_pages_read_before_a_page_for_another_query_failed_are_kept() -> None:
    own = FetchPlan(tops={Measure.PLAYS: 100})
    planner = aborted_planner(own, LONG)

    assert planner.restrict_to(own)

    observation = planner.observation(1.0)
    assert planner.next() is None
    assert observation.rows.keys() == set(MOST_PLAYED[:100])
    assert observation.tops == ((Top(100, Measure.PLAYS), tuple(MOST_PLAYED[:100])),)


@pytest.mark.parametrize("own", [FetchPlan(tops={Measure.PLAY_DURATION: 101}), FetchPlan(everything=True)])
def test_a_plan_that_needs_the_failed_page_cannot_continue(own: FetchPlan) -> None:
    planner = aborted_planner(FetchPlan(tops={Measure.PLAY_DURATION: 101}), FetchPlan(tops={Measure.PLAYS: 100}))

    assert not planner.restrict_to(own)

    assert planner.aborted
    assert len(planner.errors) == 1


def test_a_top_by_another_measure_is_read_by_itself_after_a_page_of_everything_failed() -> None:
    own = FetchPlan(tops={Measure.PLAY_DURATION: 3})
    a, b, c, d = (row(media_id, play_duration=seconds) for media_id, seconds in zip("abcd", (4, 3, 2, 2), strict=True))
    # `d` was in the top before, and ties with the last row of the page.
    before = EarlierRows({"d": d}, 5, {Measure.PLAY_DURATION: frozenset("abd")})
    planner = CallPlanner(own | FetchPlan(everything=True), None, earlier=before)
    request = planner.next()
    assert request == PageRequest(Measure.PLAYS, 1, PAGE_SIZE)
    planner.on_error(request, failure())

    assert planner.restrict_to(own)

    request = planner.next()
    assert request == PageRequest(Measure.PLAY_DURATION, 1, 3)
    planner.on_page(request, Page((a, b, c), 5, "R"))
    assert planner.next() is None
    assert planner.observation(1.0).tops == ((Top(3, Measure.PLAY_DURATION), ("a", "b", "d")),)


@pytest.mark.parametrize(
    ("missing", "left", "pages"),
    [
        (350, 29, 4),
        (320, 29, 3),  # a page with 99 of the media saves as many calls as there are pages
        (326, 29, 4),
        (323, 29, 3),
        (401, 5, 4),  # if each page contains 100 of them, the fifth would be for one video
        (402, 5, 5),
        (500, 2, 2),  # there are only two
        (30, 29, 1),
    ],
)
def test_only_pages_that_are_worth_a_call_in_any_case_are_requested_concurrently(
    missing: int, left: int, pages: int
) -> None:
    planner = CallPlanner(FetchPlan(ids=frozenset(f"seldom{i}" for i in range(missing))), None, 50)
    (first,) = in_flight_calls(planner)

    planner.on_page(first, Service.of((left + 1) * PAGE_SIZE).respond(first))

    assert in_flight_calls(planner) == [PageRequest(Measure.PLAYS, 2 + i, PAGE_SIZE) for i in range(pages)]


def test_problems_of_all_responses_are_reported_and_equal_rows_of_a_video_are_none() -> None:
    problem = RowProblem("DAU", "negative", "a")
    pages = {
        "a": Page((row("a"), row("a")), 2, "R", problems=(problem,)),
        "b": Page((row("b", 1), row("b", 2)), 2, "R", problems=(problem,)),
        "c": Page((row("c", 2), row("c", 1)), 2, "R"),
    }
    planner = CallPlanner(FetchPlan(ids=frozenset("abc")), 100_000)
    while (request := planner.next()) is not None:
        assert isinstance(request, MediaRequest)
        planner.on_page(request, pages[request.media_id])

    of_values, of_rows = planner.problems
    assert of_values == replace(problem, times=2)
    assert (of_rows.field, of_rows.media_id, of_rows.times) == ("MediaId", "b", 2)
    assert planner.observation(1.0).rows == {"a": row("a"), "b": row("b", 2), "c": row("c", 2)}


def test_calls_are_sequential_by_default() -> None:
    planner = CallPlanner(FetchPlan(everything=True), None)
    (first,) = in_flight_calls(planner)

    planner.on_page(first, Service.of(900).respond(first))

    assert len(in_flight_calls(planner)) == 1


def test_media_are_requested_by_id_when_pages_repeat() -> None:
    planner = CallPlanner(FetchPlan(ids=frozenset(f"seldom{i:02}" for i in range(30))), None)
    page = Page(tuple(row(media_id) for media_id in MOST_PLAYED[:100]), 1_000, "R")
    for number in (1, 2):
        request = planner.next()
        assert request == PageRequest(Measure.PLAYS, number, PAGE_SIZE)
        planner.on_page(request, page)

    assert planner.next() == MediaRequest("seldom00")


def test_no_other_page_is_requested_after_one_failed_even_if_it_saved_calls() -> None:
    own = FetchPlan(ids=frozenset(f"seldom{i:02}" for i in range(60)))
    planner = aborted_planner(own, LONG)

    assert planner.restrict_to(own)

    assert planner.next() == MediaRequest("seldom00")
