from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core import play_dates
from exporter.core.cost import NOTHING, Cost, Estimate, cost, media_of, metadata_cost, search_cost
from exporter.core.media_details import Category, CategoryTree, MetadataRules, Search
from exporter.core.model import Dimensions, Media
from exporter.core.plan import plan_fetch
from exporter.core.play_dates import Settlement
from exporter.core.publication import PublicationRules
from exporter.core.publication_builder import publish
from tests.core.fake_service import (
    ALL,
    TODAY,
    FakeService,
    everything,
    ids,
    query,
    row,
    top,
)
from tests.core.test_call_planner import Service

NATIVE = Dimensions(terminal_type="Native")


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (ids("a", "b"), Cost(4, Estimate(8, 8), Estimate(4, 4), Estimate(44, 44))),
        (ids("a", "b", "c"), Cost(4, Estimate(4, 16), Estimate(2, 8), Estimate(66, 66))),
        (top(250), Cost(4, Estimate(4, 12), Estimate(2, 6), Estimate(0, 4 * 250 * (5 + 2)))),
        (everything, Cost(4, Estimate(4, None), Estimate(2, None), Estimate(0, None))),
    ],
)
def test_the_cost_of_media(media: Media, expected: Cost) -> None:
    polled_query = query(media, dimensions=(ALL, NATIVE), days_ago=(1, 8), every=86_400.0)

    assert cost(polled_query, Settlement(after=0, unchanged=0)) == expected


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (ids(*map(str, range(5))), Cost(2, Estimate(5 + 1, 5 + 3), Estimate(6, 8), Estimate(60, 60))),
        (ids(*map(str, range(30))), Cost(2, Estimate(2 * 1, 3 + 31), Estimate(2, 3 + 31), Estimate(360, 360))),
        (top(250), Cost(2, Estimate(3 + 3, 3 + 3), Estimate(6, 6), Estimate(2500 + 2 * 250, 2500 + 2 * 500))),
        (everything, Cost(2, Estimate(3 + 100, 3 + 100), Estimate(103, 103), Estimate(71_250, 71_250))),
    ],
)
def test_known_totals_make_the_cost_exact_or_narrower(media: Media, expected: Cost) -> None:
    polled_query = query(media, dimensions=(ALL, NATIVE), days_ago=(1,), every=86_400.0)

    assert cost(polled_query, Settlement(after=0, unchanged=0), {ALL: 10_000, NATIVE: 250}) == expected


@given(k=st.integers(1, 40), total=st.integers(0, 6000), known=st.booleans())
def test_a_poll_never_takes_more_calls_than_estimated(k: int, total: int, *, known: bool) -> None:
    polled_query = query(ids(*(f"m{i * 97:05}" for i in range(k))), days_ago=(1,))
    estimated = cost(polled_query, Settlement(), {ALL: total} if known else None).first_poll
    service = Service.of(total)

    service.observe(plan_fetch(polled_query.media, None, 0.0, 1.0), total if known else None)

    assert estimated.high is not None
    assert estimated.low <= len(service.calls) <= estimated.high


@pytest.mark.parametrize("expected", [False, True])
@pytest.mark.parametrize("media", [ids("native-1", "web-2", "never"), top(1), top(3), everything])
async def test_no_more_series_are_published_than_estimated(
    media: Media,
    expected: bool,  # noqa: FBT001  parametrized
) -> None:
    service = FakeService(now=play_dates.start(TODAY) - 11 * 86_400)
    for days in range(-30, 2):
        # Other media each day, and in the slice with a filter other ones first than in the whole.
        native, web = (
            row(
                f"{name}{days}",
                plays,
                plays_per_viewer=2,
                play_duration=9,
                play_duration_per_viewer=9,
                media_duration=5,
            )
            for name, plays in (("native", 8), ("web", 9))
        )
        service.put([web, native], TODAY + timedelta(days=days))
        service.put([native], TODAY + timedelta(days=days), NATIVE)
    polled_query = query(media, dimensions=(ALL, NATIVE), days_ago=(1, 2, 5), every=43_200.0, expected=expected)
    rules, poller = PublicationRules((polled_query,), 2 * 86_400.0, 1_000), service.poller()
    series = 0
    while service.now < play_dates.start(TODAY) + 86_400:
        await poller.poll(polled_query)
        series = max(series, publish(poller.snapshot, rules, service.now).series)
        service.now += polled_query.every

    high = cost(polled_query, Settlement(), {ALL: 2, NATIVE: 1} if media == everything else None).series.high

    assert high is not None
    assert 0 < series <= high


@pytest.mark.parametrize("every", [900.0, 3600.0, 7200.0, 50_000.0])
@pytest.mark.parametrize("days_ago", [(0,), (1,), (0, 1, 2), (1, 2, 8, 9), (5,), (0, 7)])
@pytest.mark.parametrize("expected", [False, True])
async def test_a_steady_day_costs_what_polling_costs(
    every: float,
    days_ago: tuple[int, ...],
    expected: bool,  # noqa: FBT001  parametrized
) -> None:
    service = FakeService(now=play_dates.start(TODAY))
    for days in range(-30, 60):
        service.put([row("a")], TODAY + timedelta(days=days))
    polled_query = query(ids("a"), days_ago=days_ago, every=every, expected=expected)
    poller = service.poller()
    warm_up, measured = max(*days_ago, 10) + 1, 8  # days; after this many the polls repeat their times of day
    first = play_dates.start(TODAY) + warm_up * 86_400
    calls = 0
    while service.now < first + measured * 86_400:
        before = len(service.calls)
        await poller.poll(polled_query)
        calls += len(service.calls) - before if service.now >= first else 0
        service.now += every

    estimated = cost(polled_query, Settlement()).steady_day

    assert estimated.low == estimated.high
    assert abs(calls / measured - estimated.low) <= 1


def test_expected_plays_cost_calls_of_the_first_poll_only_and_two_series_of_each_video() -> None:
    without = cost(query(ids("a", "b"), days_ago=(0, 1, 8)), Settlement())
    with_expected = cost(query(ids("a", "b"), days_ago=(0, 1, 8), expected=True), Settlement())

    assert (without.slices, with_expected.slices) == (3, 7)
    assert (without.first_poll.low, with_expected.first_poll.low) == (6, 14)
    assert with_expected.steady_day == without.steady_day
    assert with_expected.series == without.series + Estimate(2 * 2, 2 * 2)


@pytest.mark.parametrize(
    ("total", "media"), [(100, Estimate(100, 100 + 2 * 100)), (None, Estimate(0, None))], ids=["known", "unknown"]
)
def test_a_settled_day_may_have_media_that_are_gone_since_the_day_before(total: int | None, media: Estimate) -> None:
    polled_query = query(everything, days_ago=(1,), expected=True)

    assert media_of(polled_query, {} if total is None else {ALL: total}) == media


def test_a_query_without_yesterday_costs_no_more_with_expected_plays() -> None:
    days_ago = (0, 2, 8)

    assert cost(query(ids("a"), days_ago=days_ago, expected=True), Settlement()) == cost(
        query(ids("a"), days_ago=days_ago), Settlement()
    )


def test_a_query_polled_less_than_daily_costs_a_fraction_per_day() -> None:
    polled_query = query(ids("a"), days_ago=tuple(range(31)), every=7 * 86_400.0)

    # Each date is polled once, or once more if it cannot be final yet.
    assert cost(polled_query, Settlement()).steady_day.low == 2


@pytest.mark.parametrize(
    ("estimate", "text"),
    [(Estimate(3, 3), "3"), (Estimate(1, 3), "1 to 3"), (Estimate(3, None), "at least 3")],
)
def test_estimates_as_text(estimate: Estimate, text: str) -> None:
    assert str(estimate) == text


def test_estimates_add_up() -> None:
    assert Estimate(1, 2) + Estimate(3, 4) == Estimate(4, 6)
    assert Estimate(1, 2) + Estimate(3, None) == Estimate(4, None)


@pytest.mark.parametrize(
    ("hours", "unchanged", "polls"),
    [
        (
            10,
            1,
            5,
        ),  # at 0, 10, 20, 30 and 40 hours: the last one confirms what was observed before the day could be final
        (6, 2, 8),  # unchanged at 36 and 42 hours; earlier polls do not count
        (11, 1, 4),  # at exactly 33 hours a day can be final
        (19, 3, 4),  # a day later, at exactly 57 hours, it is final in any case
        (24, 1, (9 * 3 + 15 * 2) / 24),  # 3 polls if they are before 09:00, otherwise 2; averaged over all hours
        (48, 0, (17 * 2 + 7 * 1) / 24),  # one is enough if it is later than 33 hours
    ],
)
def test_a_date_is_polled_until_it_settles(hours: int, unchanged: int, polls: float) -> None:
    polled_query = query(ids(*"abcdefgh"), days_ago=tuple(range(6)), every=hours * 3600.0)

    steady = cost(polled_query, Settlement(unchanged=unchanged), {ALL: 10_000}).steady_day

    assert steady == Estimate(ceil(8 * polls), ceil(8 * polls))


@pytest.mark.parametrize("media", [top(250), everything])
def test_few_media_with_plays_take_one_page(media: Media) -> None:
    polled_query = query(media, days_ago=(1,))

    assert [cost(polled_query, Settlement(), {ALL: total}).first_poll for total in (0, 1, 100, 101)] == [
        Estimate(pages, pages) for pages in (1, 1, 1, 2)
    ]


@pytest.mark.parametrize(
    ("found", "calls"),
    [
        (Estimate(0, 0), Estimate(1, 1)),
        (Estimate(100, 101), Estimate(1, 2)),
        (Estimate(199, 200), Estimate(2, 3)),
        (Estimate(298, None), Estimate(3, None)),
    ],
)
def test_a_search_reads_pages_each_of_which_repeats_the_last_hit_before_it(found: Estimate, calls: Estimate) -> None:
    a_day = Estimate(calls.low * 4, None if calls.high is None else calls.high * 4)

    assert search_cost(Search(tags=("new",), every=6 * 3600.0), found) == Cost(0, calls, a_day, NOTHING)


def test_the_media_of_a_search_are_unknown_until_they_are_found() -> None:
    searching = query(ids(), search=Search(tags=("new",)), dimensions=(ALL, NATIVE), days_ago=(1,), every=86_400.0)
    found, settlement = replace(searching, media=ids("a", "b")), Settlement(after=0, unchanged=0)

    assert cost(searching, settlement) == Cost(2, Estimate(2, None), Estimate(2, None), Estimate(0, None))
    assert media_of(searching) == Estimate(0, None)
    assert cost(found, settlement) == cost(replace(found, search=None), settlement)
    assert media_of(found) == Estimate(2, 2)


TREE = CategoryTree(
    [
        Category(1, "Courses", None, 0),
        Category(2, "Maths", 1, 1),
        Category(3, "Physics", 1, 1),
        Category(4, "Algebra", 2, 2),
        Category(5, "News", None, 0),
    ]
)


def test_a_search_in_categories_reads_the_tree_a_call_for_the_top_and_for_each_one_with_others_below_it() -> None:
    search, found = Search(categories=(1,), every=86_400.0), Estimate(150, 150)

    assert search_cost(search, found, TREE).first_poll == Estimate(2 + 3, 2 + 3)
    assert search_cost(search, found).first_poll == Estimate(2 + 1, None)


def test_metadata_of_20_media_are_one_call_and_those_of_searches_are_none() -> None:
    rules = MetadataRules(every=43_200.0, labels=("status",), tags=("new", "free"))

    known = metadata_cost(rules, Estimate(20, 21), Estimate(0, 9), TREE)
    assert known == Cost(0, Estimate(1, 2), Estimate(2, 4), Estimate(20, 30 * 4))
    unknown = metadata_cost(rules, Estimate(20, None), Estimate(0, 9), TREE)
    assert unknown == Cost(0, Estimate(1, None), Estimate(2, None), Estimate(20, None))


def test_metadata_with_categories_read_the_tree_too() -> None:
    rules = MetadataRules(every=86_400.0, labels=("category",))

    assert metadata_cost(rules, Estimate(20, 20), NOTHING, TREE).first_poll == Estimate(1 + 3, 1 + 3)
    assert metadata_cost(rules, Estimate(20, 20), NOTHING).first_poll == Estimate(1 + 1, None)
