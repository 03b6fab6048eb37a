from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.media_details import MediaDetails, Search
from exporter.core.media_search import (
    MediaWalk,
    SearchConditions,
    SearchPage,
    SearchRequest,
    UnorderedError,
    conditions,
    matching,
)
from tests.core.fake_search import FakeSearch

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

PAGE: Final = 4
CEILING: Final = 12
EVERYTHING: Final = SearchConditions()

details: SearchStrategy[MediaDetails] = st.builds(
    MediaDetails,
    media_id=st.just(""),
    title=st.sampled_from(["Maths 1", "maths 2", "History", None]),
    category_id=st.sampled_from([1, 2, 3, None]),
    tags=st.lists(st.sampled_from(["promo", "promotion", "a"]), max_size=2).map(tuple),
    status=st.sampled_from(["Normal", "Blocked"]),
    created_at=st.integers(100, 112).map(float),
)
catalogues = st.lists(details, max_size=60).map(
    lambda media: {f"m{number:02}": replace(each, media_id=f"m{number:02}") for number, each in enumerate(media)}
)
searches = st.builds(
    SearchConditions,
    category_ids=st.none() | st.frozensets(st.integers(1, 3), min_size=1),
    tags=st.just(()) | st.just(("promo",)) | st.just(("a", "promotion")),
    title=st.none() | st.sampled_from(["Maths", "is"]),
    statuses=st.just(()) | st.just(("Normal",)),
    created_from=st.none() | st.integers(100, 110).map(float),
)


def walked(service: FakeSearch, wanted: SearchConditions) -> MediaWalk:
    walk = MediaWalk(wanted.created_from, page_size=service.page_size, ceiling=service.ceiling)
    while (request := walk.next) is not None:
        walk.on_page(service.page(request, wanted))
        assert len(service.requests) < 500
    return walk


def complete(walk: MediaWalk) -> bool:
    """Whether every hit was listed."""
    return walk.next is None and not walk.crowded and not walk.missing


def found(service: FakeSearch, wanted: SearchConditions) -> frozenset[str]:
    return matching(walked(service, wanted).hits.values(), wanted)


def truth(service: FakeSearch, wanted: SearchConditions) -> frozenset[str]:
    return frozenset(each for each, media in service.media.items() if wanted.match(media))


@given(media=catalogues, wanted=searches, loose=st.booleans(), counts=st.booleans())
def test_what_is_found_equals_what_the_catalogue_has(
    media: dict[str, MediaDetails], wanted: SearchConditions, *, loose: bool, counts: bool
) -> None:
    service = FakeSearch(media, PAGE, CEILING, loose=loose, counts=counts)
    hits = Counter(each.created_at for each in media.values())
    walk = walked(service, wanted)
    reachable = {each for each in truth(service, wanted) if hits[media[each].created_at] <= CEILING}
    assert reachable <= matching(walk.hits.values(), wanted) <= truth(service, wanted)
    if complete(walk):
        assert matching(walk.hits.values(), wanted) == truth(service, wanted)
    else:
        assert walk.crowded
    assert all(hits[at] >= CEILING for at in walk.crowded)


changes = st.lists(
    st.none()
    | st.tuples(st.just("delete"), st.integers(0, 80))
    | st.tuples(st.just("move"), st.integers(0, 80), st.sampled_from([1, 2, 3, None]))
    | st.tuples(st.just("create"), details),
    max_size=30,
)


@given(media=catalogues, wanted=searches, changes=changes, loose=st.booleans())
def test_only_media_that_change_during_the_walk_may_be_missed_and_for_one_refresh(
    media: dict[str, MediaDetails], wanted: SearchConditions, changes: list[Any], *, loose: bool
) -> None:
    changed: set[str] = set()
    ever = {each for each, one in media.items() if wanted.match(one)}
    pending = list(changes)

    def change(service: FakeSearch) -> None:
        match pending.pop(0) if pending else None:
            case ("delete", int(number)) if (media_id := f"m{number:02}") in service.media:
                changed.add(media_id)
                del service.media[media_id]
            case ("move", int(number), to) if (media_id := f"m{number:02}") in service.media:
                changed.add(media_id)
                moved = service.media[media_id] = replace(service.media[media_id], category_id=to)
                ever.update({media_id} if wanted.match(moved) else ())
            case ("create", MediaDetails() as given):
                media_id = f"new{len(service.media)}{len(pending)}"
                created = replace(given, media_id=media_id, created_at=113.0 + len(changed))
                service.media[media_id] = created
                changed.add(media_id)
                ever.update({media_id} if wanted.match(created) else ())

    service = FakeSearch(dict(media), PAGE, 1000, loose=loose, change=change)
    first = found(service, wanted)
    # A second with more hits than a page is read by page numbers, where a deletion may hide one more for one refresh.
    times = Counter(each.created_at for each in media.values())
    unchanged = {each for each in truth(service, wanted) - changed if times[service.media[each].created_at] < PAGE}
    assert unchanged <= first <= ever
    pending.clear()
    assert found(service, wanted) == truth(service, wanted)


def catalogue(number: int, per_second: int = 1) -> dict[str, MediaDetails]:
    return {f"m{n}": MediaDetails(f"m{n}", created_at=float(1_000 + n // per_second)) for n in range(number)}


@pytest.mark.parametrize(("media", "calls"), [(0, 1), (1, 1), (100, 1), (101, 2), (199, 2), (200, 3), (2_000, 21)])
def test_calls_of_a_refresh(media: int, calls: int) -> None:
    service = FakeSearch(catalogue(media), page_size=100, ceiling=5_000)
    assert len(found(service, EVERYTHING)) == media
    assert len(service.requests) == calls
    assert calls <= max(1, ceil(media / 100)) * 1.02 + 1


def test_a_second_with_more_media_than_a_page_is_read_by_page_numbers() -> None:
    service = FakeSearch(catalogue(20, per_second=10), PAGE, CEILING)
    walk = walked(service, EVERYTHING)
    assert complete(walk)
    assert len(walk.hits) == 20
    assert {request.page for request in service.requests} == {1, 2, 3}


def test_a_second_with_more_media_than_can_be_reached_is_reported_and_passed_over() -> None:
    service = FakeSearch({**catalogue(1), **catalogue(30, per_second=15)}, PAGE, CEILING)
    service.media["last"] = MediaDetails("last", created_at=2_000.0)
    walk = walked(service, EVERYTHING)
    assert not complete(walk)
    assert walk.crowded == [1_000.0, 1_001.0]
    assert "last" in walk.hits
    assert len(walk.hits) == 2 * CEILING + 1


def test_hits_that_are_counted_and_not_listed_make_the_walk_incomplete() -> None:
    walk = MediaWalk()
    walk.on_page(SearchPage((MediaDetails("a", created_at=1.0),), 3))
    assert walk.next == SearchRequest(1.0, exclusive=False, page=1)
    walk.on_page(SearchPage((), 3))
    assert walk.missing == 3
    assert not complete(walk)
    assert walk.total == 3


def test_conditions_are_those_of_the_search_at_that_time() -> None:
    search = Search(tags=("a",), title="t", statuses=("Normal",), created_within=60.0)
    assert conditions(search, frozenset({1}), 100.0) == SearchConditions(frozenset({1}), ("a",), "t", ("Normal",), 40.0)
    assert conditions(Search(title="t"), None, 100.0).created_from is None


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (SearchConditions(), True),
        (SearchConditions(category_ids=frozenset({1})), True),
        (SearchConditions(category_ids=frozenset({2})), False),
        (SearchConditions(tags=("a", "b")), True),
        (SearchConditions(tags=("A",)), False),
        (SearchConditions(title="aths"), True),
        (SearchConditions(title="maths"), False),
        (SearchConditions(statuses=("Normal",)), True),
        (SearchConditions(statuses=("Blocked",)), False),
        (SearchConditions(created_from=100.0), True),
        (SearchConditions(created_from=100.5), False),
    ],
)
def test_each_condition_is_compared(wanted: SearchConditions, *, matches: bool) -> None:
    assert wanted.match(MediaDetails("m", "Maths", 1, None, ("b",), "Normal", 100.0)) is matches


@pytest.mark.parametrize(
    "wanted",
    [
        SearchConditions(category_ids=frozenset({1})),
        SearchConditions(tags=("a",)),
        SearchConditions(title="XX"),
        SearchConditions(statuses=("Normal",)),
        SearchConditions(created_from=0.5),
    ],
)
def test_a_media_without_the_field_of_a_condition_does_not_match_and_cannot_be_compared(
    wanted: SearchConditions,
) -> None:
    assert not wanted.match(MediaDetails("m"))
    assert wanted.comparable(MediaDetails("m")) is (wanted.created_from is not None)
    assert SearchConditions().comparable(MediaDetails("m"))
    whole = MediaDetails("m", "Maths", 1, None, (), "Normal", 100.0)
    assert wanted.comparable(whole)
    # One field is missing, that of another condition is there.
    assert not replace(wanted, statuses=("Normal",)).comparable(replace(whole, status=None))
    assert not replace(wanted, title="t").comparable(replace(whole, title=None))
    assert not replace(wanted, tags=("t",)).comparable(replace(whole, tags=None))
    assert not replace(wanted, category_ids=frozenset({1})).comparable(replace(whole, category_id=None))


def test_a_walk_begins_where_the_search_begins_and_has_found_nothing() -> None:
    walk = MediaWalk(5.0, page_size=4)
    assert walk.next == SearchRequest(5.0, exclusive=False, page=1)
    walk.on_page(SearchPage((), 0))
    assert complete(walk)
    assert (walk.missing, walk.total) == (0, 0)
    late = MediaWalk(5.0, page_size=2)
    late.on_page(SearchPage(hits_of(5, 5.5), 3))
    assert late.total == 3


def hits_of(*times: float) -> tuple[MediaDetails, ...]:
    return tuple(MediaDetails(f"m{time:g}", created_at=time) for time in times)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_count_below_the_hits_that_are_listed_is_not_the_end(count: int) -> None:
    walk = MediaWalk(page_size=4)
    walk.on_page(SearchPage(hits_of(1, 2, 3, 4), count))
    assert walk.next == SearchRequest(4.0, exclusive=False, page=1)
    walk.on_page(SearchPage(hits_of(4, 5), count and 2))
    assert len(walk.hits) == 5
    assert complete(walk)


def test_pages_that_leave_hits_out_make_the_walk_incomplete_by_the_first_count() -> None:
    walk = MediaWalk(page_size=4)
    walk.on_page(SearchPage(hits_of(1, 3), 4, skipped=1))
    walk.on_page(SearchPage(hits_of(3), 2))
    walk.on_page(SearchPage(hits_of(3), 1))
    assert walk.next is None
    assert (walk.missing, complete(walk)) == (1, False)
    whole = MediaWalk(page_size=4)
    whole.on_page(SearchPage(hits_of(1, 3), 3, skipped=1))
    assert (whole.next, whole.missing, complete(whole)) == (None, 0, True)


@pytest.mark.parametrize(
    ("hits", "message"),
    [
        ((MediaDetails("a", created_at=2.0), MediaDetails("b", created_at=1.0)), "not ordered by CreationTime"),
        ((MediaDetails("a"),), "no hit has a CreationTime"),
    ],
)
def test_hits_in_another_order_are_refused(hits: tuple[MediaDetails, ...], message: str) -> None:
    with pytest.raises(UnorderedError, match=message):
        MediaWalk().on_page(SearchPage(hits, 5))


def test_a_service_that_ignores_the_creation_time_is_refused() -> None:
    walk = MediaWalk()
    walk.on_page(SearchPage((MediaDetails("a", created_at=1.0), MediaDetails("b", created_at=2.0)), 5))
    with pytest.raises(UnorderedError, match="created before the time"):
        walk.on_page(SearchPage((MediaDetails("a", created_at=1.0),), 5))


def test_a_page_size_below_the_requested_one_ends_no_walk() -> None:
    service = FakeSearch(catalogue(20), page_size=3, ceiling=3_000)
    walk = MediaWalk(page_size=100)
    while (request := walk.next) is not None:
        walk.on_page(service.page(request, EVERYTHING))
    assert len(walk.hits) == 20


def test_pages_of_hits_without_an_id_are_passed_by_page_numbers() -> None:
    walk = MediaWalk(page_size=2, ceiling=4)
    walk.on_page(SearchPage((), 5, skipped=2))
    assert walk.next == SearchRequest(None, exclusive=False, page=2)
    walk.on_page(SearchPage((), 5, skipped=2))
    assert walk.crowded == [0.0]


def test_hits_of_a_second_that_was_passed_over_are_refused() -> None:
    walk = MediaWalk(page_size=1, ceiling=1)
    for _ in range(2):
        walk.on_page(SearchPage(hits_of(5), 3))
    assert walk.next == SearchRequest(5.0, exclusive=True, page=1)
    with pytest.raises(UnorderedError, match="created before"):
        walk.on_page(SearchPage(hits_of(5), 3))


def test_a_full_page_with_all_hits_is_the_end() -> None:
    walk = MediaWalk(page_size=2)
    walk.on_page(SearchPage(hits_of(1, 2), 2))
    assert walk.next is None
