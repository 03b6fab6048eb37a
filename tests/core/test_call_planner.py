from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle
from math import ceil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.call_planner import CallPlanner, MediaRequest
from exporter.core.model import Measure, Page, PlayRow, Top
from exporter.core.page_reader import PageRequest
from exporter.core.plan import PAGE_SIZE, FetchPlan
from tests.core.fake_service import failure, row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.core.merge import SliceObservation

MOST_PLAYED = [f"m{i:05}" for i in range(60_000)]


@dataclass
class Service:
    """A result set; its rows can be moved between two pages."""

    rows: list[PlayRow]
    calls: list[MediaRequest | PageRequest] = field(default_factory=list)
    hide: frozenset[str] = frozenset()
    ranked: dict[Measure, list[PlayRow]] = field(default_factory=dict)

    @classmethod
    def of(cls, media: int, **changed: object) -> Service:
        rows = [row(m, plays=100_000 - i, play_duration=i) for i, m in enumerate(MOST_PLAYED[:media])]
        return cls(rows, **changed)  # type: ignore[arg-type]

    @cached_property
    def ids(self) -> frozenset[str]:
        return frozenset(each.media_id for each in self.rows)

    def answer(self, asked: MediaRequest | PageRequest) -> Page:
        self.calls.append(asked)
        match asked:
            case MediaRequest(media_id):
                found = tuple(each for each in self.rows if each.media_id == media_id) if media_id in self.ids else ()
                return Page(found, len(found), "R")
            case PageRequest(by, number, size):
                if by not in self.ranked:
                    self.ranked[by] = sorted(self.rows, key=lambda each: -(getattr(each, by.value) or 0))
                ranked = self.ranked[by]
                page = ranked[(number - 1) * size : number * size]
                return Page(tuple(each for each in page if each.media_id not in self.hide), len(ranked), "R")

    def search(self, need: FetchPlan, likely_total: int | None = None) -> SliceObservation:
        search = CallPlanner(need, likely_total)
        while (asked := search.next()) is not None:
            search.on_page(asked, self.answer(asked))
        return search.observation(1.0)


def some(k: int, media: int, *, least: bool = False) -> frozenset[str]:
    """K media: spread over a result set and beyond it, or all of them without plays."""
    if least:
        return frozenset(f"none{i}" for i in range(k))
    return frozenset(MOST_PLAYED[(i * max(1, media) * 2 // max(1, k)) % 60_000] for i in range(k))


@pytest.mark.parametrize("media", [0, 50, 1_000, 50_000])
@pytest.mark.parametrize("k", [1, 3, 30, 300, 3_000])
@pytest.mark.parametrize("least", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_the_calls_for_k_media_in_p_pages_are_bounded(k: int, media: int, *, least: bool, known: bool) -> None:
    service = Service.of(media)
    wanted = some(k, media, least=least)

    observation = service.search(FetchPlan(ids=wanted), media if known else None)

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

    observation = service.search(FetchPlan(ids=ids), likely)

    truth = {each.media_id: each for each in service.rows}
    assert observation.rows == {media_id: truth.get(media_id) for media_id in ids}
    assert len(service.calls) == len(set(service.calls))
    pages = ceil(media / PAGE_SIZE)
    right = likely is not None and ceil(likely / PAGE_SIZE) == pages
    first = likely is None
    assert len(service.calls) <= (min(len(ids), pages) if right or first else len(ids)) + (2 if first else 1)


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

    observation = service.search(need)

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

    observation = service.search(FetchPlan(ids=ids))

    truth = {each.media_id: each for each in service.rows}
    assert observation.rows == {media_id: truth.get(media_id) for media_id in ids}
    assert not observation.listed or not hidden & set(range(media))


def test_a_listing_is_read_only_until_the_wanted_media_are_found() -> None:
    service = Service.of(10_000)

    service.search(FetchPlan(ids=frozenset(MOST_PLAYED[:250])), 10_000)

    assert service.calls == [PageRequest(Measure.PLAYS, number, 100) for number in (1, 2, 3)]


def test_popular_media_are_found_on_the_first_page_and_others_requested_by_id() -> None:
    service = Service.of(50_000)

    service.search(FetchPlan(ids=frozenset({*MOST_PLAYED[:20], "seldom", "never"})))

    pages = [
        PageRequest(Measure.PLAYS, 1, 100),
        PageRequest(Measure.PLAYS, 2, 100),
    ]  # one more because the first paid off
    assert service.calls == [*pages, MediaRequest("never"), MediaRequest("seldom")]


def test_rows_of_other_media_are_not_kept_when_media_are_wanted_by_id() -> None:
    observation = Service.of(150).search(FetchPlan(ids=frozenset(MOST_PLAYED[100:130])))

    assert observation.rows.keys() == set(MOST_PLAYED[100:130])
    assert (observation.listed, observation.total) == (False, 150)


def test_a_total_that_is_too_low_ends_the_pages_and_media_are_requested_by_id() -> None:
    service = Service.of(50_000)
    search = CallPlanner(FetchPlan(ids=frozenset({"a", "b", "c"})), None)
    while (asked := search.next()) is not None:
        page = service.answer(asked)
        search.on_page(asked, Page(page.rows, 1 if isinstance(asked, PageRequest) else 0, "R"))

    assert service.calls == [
        PageRequest(Measure.PLAYS, 1, 100),
        MediaRequest("a"),
        MediaRequest("b"),
        MediaRequest("c"),
    ]


def test_a_failed_media_is_not_requested_again_and_the_observation_is_not_whole() -> None:
    search = CallPlanner(FetchPlan(ids=frozenset({"a"})), 1000)
    asked = search.next()
    assert asked == MediaRequest("a")

    search.on_error(asked, failure())

    assert search.next() is None
    assert not search.observation(1.0).is_whole


@dataclass
class Play:
    """A search whose calls are answered in any order; some fail."""

    service: Service
    search: CallPlanner
    fails: frozenset[MediaRequest | PageRequest] = frozenset()
    most_at_once: int = 0

    def to_the_end(self, order: Iterator[int]) -> Play:
        under_way: list[MediaRequest | PageRequest] = []
        while True:
            while (asked := self.search.next()) is not None:
                under_way.append(asked)
            assert self.search.in_flight == len(under_way)
            self.most_at_once = max(self.most_at_once, len(under_way))
            if not under_way:
                return self
            asked = under_way.pop(next(order) % len(under_way))
            page = self.service.answer(asked)
            if asked in self.fails:
                self.search.on_error(asked, failure())
            else:
                self.search.on_page(asked, page)
            under_way = [each for each in under_way if self.search.still_needed(each)]

    @property
    def outcome(self) -> tuple[SliceObservation, bool, int]:
        return self.search.observation(1.0), self.search.aborted, len(self.search.errors)


def played(
    service: Service,
    need: FetchPlan,
    likely: int | None,
    max_in_flight: int,
    order: Iterable[int] = (0,),
    fails: frozenset[MediaRequest | PageRequest] = frozenset(),
) -> Play:
    return Play(service, CallPlanner(need, likely, max_in_flight), fails).to_the_end(cycle(order))


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
    one_by_one = played(Service.of(media), need, likely, 1)

    together = played(Service.of(media), need, likely, max_in_flight, order)

    assert sorted(map(repr, together.service.calls)) == sorted(map(repr, one_by_one.service.calls))
    assert together.outcome == one_by_one.outcome
    assert (one_by_one.most_at_once, together.most_at_once <= max_in_flight) in {(1, True), (0, True)}


@given(
    st.integers(0, 1_300),
    some_needs,
    st.integers(2, 8),
    orders,
    st.frozensets(st.builds(PageRequest, st.sampled_from(Measure), st.integers(1, 14), st.just(100)), max_size=4)
    # Two only: three in a row end the search, and which are in a row is for the order of the answers to say.
    | st.frozensets(st.builds(MediaRequest, st.sampled_from(MOST_PLAYED[:1_500])), max_size=2),
    st.sets(st.integers(0, 1_299), max_size=400),
)
def test_with_failures_or_missing_rows_few_concurrent_calls_are_wasted_and_the_outcome_is_the_same(
    media: int, need: FetchPlan, max_in_flight: int, order: list[int], fails: frozenset[PageRequest], hidden: set[int]
) -> None:
    hide = frozenset(MOST_PLAYED[i] for i in hidden)
    one_by_one = played(Service.of(media, hide=hide), need, None, 1, fails=frozenset(fails))

    together = played(Service.of(media, hide=hide), need, None, max_in_flight, order, fails=frozenset(fails))

    in_vain = len(together.service.calls) - len(one_by_one.service.calls)
    sweeps = 2 * max(1, len(need.tops))  # each may be read twice
    assert 0 <= in_vain <= (max_in_flight - 1) * sweeps
    assert together.outcome[0] == one_by_one.outcome[0]
    assert together.outcome[1:] == one_by_one.outcome[1:]


def under_way(search: CallPlanner) -> list[MediaRequest | PageRequest]:
    return list(iter(search.next, None))


def test_the_first_call_runs_alone_and_the_remaining_pages_follow_concurrently() -> None:
    search = CallPlanner(FetchPlan(everything=True), 1_000, 8)
    (first,) = under_way(search)

    search.on_page(first, Service.of(450).answer(first))

    assert under_way(search) == [PageRequest(Measure.PLAYS, number, 100) for number in (2, 3, 4, 5)]


def test_a_slow_page_does_not_raise_the_number_of_pages_requested_ahead() -> None:
    service, search = Service.of(2_000), CallPlanner(FetchPlan(everything=True), None, 4)
    (first,) = under_way(search)
    search.on_page(first, service.answer(first))
    slow, *others = under_way(search)

    for asked in others:
        search.on_page(asked, service.answer(asked))
    assert under_way(search) == []

    search.on_page(slow, service.answer(slow))
    assert len(under_way(search)) == 4


def test_no_more_media_are_in_flight_than_failures_that_stop_the_planner() -> None:
    search = CallPlanner(FetchPlan(ids=frozenset("abcdefgh")), 100_000, 8)
    (first,) = under_way(search)
    search.on_page(first, Page((), 0, "R"))

    together = under_way(search)
    assert together == [MediaRequest("b"), MediaRequest("c"), MediaRequest("d")]

    for asked in together:
        assert under_way(search) == []
        search.on_error(asked, failure())
    assert under_way(search) == []
    assert search.stopped


def test_calls_in_flight_are_not_needed_after_an_error_that_aborts_the_slice() -> None:
    search = CallPlanner(FetchPlan(everything=True), None, 4)
    (first,) = under_way(search)
    search.on_page(first, Service.of(900).answer(first))
    second, third, *_ = under_way(search)

    search.on_error(third, failure(), aborts_slice=True)

    assert not search.still_needed(second)
    assert (search.in_flight, search.aborted, under_way(search)) == (0, True, [])


def test_a_page_is_as_long_as_the_top_unless_media_are_wanted_too() -> None:
    assert CallPlanner(FetchPlan(tops={Measure.PLAYS: 10}), None).next() == PageRequest(Measure.PLAYS, 1, 10)
    assert CallPlanner(FetchPlan(tops={Measure.PLAYS: 250}), None).next() == PageRequest(Measure.PLAYS, 1, PAGE_SIZE)
    with_media = FetchPlan(ids=frozenset({"a"}), tops={Measure.PLAYS: 10})
    assert CallPlanner(with_media, None).next() == PageRequest(Measure.PLAYS, 1, PAGE_SIZE)


@pytest.mark.parametrize("n", [50, 51, 100])
def test_a_top_that_contains_every_row_is_a_complete_listing(n: int) -> None:
    observation = Service.of(50).search(FetchPlan(tops={Measure.PLAYS: n}))

    assert (observation.listed, observation.tops, len(observation.rows)) == (True, (), 50)


def test_a_top_stays_a_top_when_its_page_contains_every_row() -> None:
    last = MOST_PLAYED[49]

    observation = Service.of(50).search(FetchPlan(ids=frozenset({last}), tops={Measure.PLAYS: 10}))

    assert observation.rows.keys() == {*MOST_PLAYED[:10], last}
    assert (observation.listed, observation.tops) == (False, ((Top(10, Measure.PLAYS), tuple(MOST_PLAYED[:10])),))


def test_all_pages_of_a_top_are_requested_concurrently() -> None:
    search = CallPlanner(FetchPlan(tops={Measure.PLAYS: 250}), None, 8)
    (first,) = under_way(search)

    search.on_page(first, Service.of(5_000).answer(first))

    assert under_way(search) == [PageRequest(Measure.PLAYS, number, 100) for number in (2, 3)]


def test_a_top_by_another_measure_is_sorted_from_an_incomplete_listing() -> None:
    media = [row("long", 1, play_duration=9), row("short", 2, play_duration=0.5), row("unknown", 3)]
    search = CallPlanner(FetchPlan(tops={Measure.PLAY_DURATION: 3}, everything=True), None)

    while (asked := search.next()) is not None:
        page = Service(media).answer(asked)
        search.on_page(asked, Page(page.rows, 7, "R"))

    observation = search.observation(1.0)
    assert (observation.listed, observation.is_whole) == (False, False)
    assert observation.tops == ((Top(3, Measure.PLAY_DURATION), ("long", "short", "unknown")),)


def test_a_response_between_failures_resets_their_count() -> None:
    media = "abcdef"
    search = CallPlanner(FetchPlan(ids=frozenset(media)), 100_000)
    fails = {"a": True, "b": True, "c": False, "d": True, "e": True, "f": True}

    for media_id in media:
        assert not search.stopped
        asked = search.next()
        assert asked == MediaRequest(media_id)
        if fails[media_id]:
            search.on_error(asked, failure())
        else:
            search.on_page(asked, Page((), 0, "R"))

    assert search.stopped
    assert len(search.errors) == 5


def broken_off(own: FetchPlan, others: FetchPlan, max_in_flight: int = 1) -> CallPlanner:
    """A search for two whose second page by play duration has failed; all that comes before it was answered."""
    search, service = CallPlanner(own | others, 100_000, max_in_flight), Service.of(5_000)
    while not search.aborted:
        asked = search.next()
        assert isinstance(asked, PageRequest)
        if (asked.by, asked.number) == (Measure.PLAY_DURATION, 2):
            search.on_error(asked, failure())
        else:
            search.on_page(asked, service.answer(asked))
    return search


LONG = FetchPlan(ids=frozenset("z"), tops={Measure.PLAY_DURATION: 150})


def test_after_a_page_for_another_query_failed_only_the_own_plan_is_requested() -> None:
    own = FetchPlan(ids=frozenset("abcdefgh"))
    search = broken_off(own, LONG, max_in_flight=8)

    assert search.restrict_to(own)

    assert (search.aborted, search.errors) == (False, [])
    assert under_way(search) == [MediaRequest("a"), MediaRequest("b"), MediaRequest("c")]


def test_pages_read_before_a_page_for_another_query_failed_are_kept() -> None:
    own = FetchPlan(tops={Measure.PLAYS: 100})
    search = broken_off(own, LONG)

    assert search.restrict_to(own)

    observation = search.observation(1.0)
    assert search.next() is None
    assert observation.rows.keys() == set(MOST_PLAYED[:100])
    assert observation.tops == ((Top(100, Measure.PLAYS), tuple(MOST_PLAYED[:100])),)


@pytest.mark.parametrize("own", [FetchPlan(tops={Measure.PLAY_DURATION: 101}), FetchPlan(everything=True)])
def test_a_plan_that_needs_the_failed_page_cannot_continue(own: FetchPlan) -> None:
    search = broken_off(FetchPlan(tops={Measure.PLAY_DURATION: 101}), FetchPlan(tops={Measure.PLAYS: 100}))

    assert not search.restrict_to(own)

    assert search.aborted
    assert len(search.errors) == 1


@pytest.mark.parametrize(
    ("missing", "left", "pages"),
    [
        (350, 29, 4),
        (320, 29, 3),  # a page that shows 99 of the media brings as many calls less as pages
        (326, 29, 4),
        (323, 29, 3),
        (401, 5, 4),  # if each page shows 100 of them, the fifth would be for one media
        (402, 5, 5),
        (500, 2, 2),  # there are no more
        (30, 29, 1),
    ],
)
def test_only_pages_that_are_worth_a_call_in_any_case_are_requested_concurrently(
    missing: int, left: int, pages: int
) -> None:
    search = CallPlanner(FetchPlan(ids=frozenset(f"seldom{i}" for i in range(missing))), None, 50)
    (first,) = under_way(search)

    search.on_page(first, Service.of((left + 1) * PAGE_SIZE).answer(first))

    assert under_way(search) == [PageRequest(Measure.PLAYS, 2 + i, PAGE_SIZE) for i in range(pages)]


def test_calls_are_sequential_by_default() -> None:
    search = CallPlanner(FetchPlan(everything=True), None)
    (first,) = under_way(search)

    search.on_page(first, Service.of(900).answer(first))

    assert len(under_way(search)) == 1


def test_media_are_requested_by_id_when_pages_repeat() -> None:
    search = CallPlanner(FetchPlan(ids=frozenset(f"seldom{i:02}" for i in range(30))), None)
    page = Page(tuple(row(media_id) for media_id in MOST_PLAYED[:100]), 1_000, "R")
    for number in (1, 2):
        asked = search.next()
        assert asked == PageRequest(Measure.PLAYS, number, PAGE_SIZE)
        search.on_page(asked, page)

    assert search.next() == MediaRequest("seldom00")


def test_no_other_page_is_requested_after_one_failed_even_if_it_saved_calls() -> None:
    own = FetchPlan(ids=frozenset(f"seldom{i:02}" for i in range(60)))
    search = broken_off(own, LONG)

    assert search.restrict_to(own)

    assert search.next() == MediaRequest("seldom00")
