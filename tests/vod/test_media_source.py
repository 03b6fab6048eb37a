"""Searches, details and categories from as many calls as they take, against a client with scripted responses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from exporter.core.media_details import Category, CategoryTree, MediaDetails
from exporter.core.media_search import CEILING, PAGE_SIZE, SearchConditions, SearchPage
from exporter.errors import ErrorKind, UpstreamError
from exporter.vod import categories
from exporter.vod.categories import CategoryPage
from exporter.vod.media_source import MediaSource, SearchResult
from exporter.vod.search_media import CATEGORIES_PER_SEARCH
from exporter.vod.video_infos import VideoInfos

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.vod.actions import Action

NOW = 1_787_200_144.0
EVERYTHING = SearchConditions()


@dataclass
class Client:
    """Returns or raises what `answer` gives for the parameters of a call."""

    answer: Callable[[Mapping[str, str]], Any]
    calls: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    max_in_flight: int = 1

    async def call(self, action: Action[Any], parameters: Mapping[str, str]) -> Any:
        self.events.append("call")
        self.calls.append((action.name, parameters))
        answer = self.answer(parameters)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def permit(self) -> None:
        self.events.append("permit")

    def source(self) -> MediaSource:
        return MediaSource(self, self.permit, lambda: NOW, self.events.append)


def scripted(*answers: Any) -> Client:
    left = list(answers)
    return Client(lambda _: left.pop(0))


def media(*numbers: int, created_at: float | None = None) -> tuple[MediaDetails, ...]:
    return tuple(MediaDetails(f"m{n}", created_at=float(n) if created_at is None else created_at) for n in numbers)


def error(code: str = "InternalError") -> UpstreamError:
    return UpstreamError("it failed", code=code, kind=ErrorKind.OTHER)


async def test_a_search_is_read_to_its_end_with_a_permit_for_each_call() -> None:
    client = scripted(SearchPage(media(*range(100)), 150), SearchPage(media(*range(99, 150)), 51))
    source = client.source()
    assert source.action == ""

    result = await source.search(EVERYTHING)

    assert [(each.media_id, each.observed_at) for each in result.hits] == [(f"m{n}", NOW) for n in range(150)]
    assert (result.total, result.crowded, result.missing, result.complete) == (150, (), 0, True)
    assert source.action == "SearchMedia"
    assert client.events == ["permit", "call", "SearchMedia"] * 2
    first, second = (parameters.get("Match") for _, parameters in client.calls)
    assert (first, second) == (None, "CreationTime = ['1970-01-01T00:01:39Z',)")


async def test_a_search_begins_when_the_media_may_have_been_created() -> None:
    client = scripted(SearchPage((), 0))

    await client.source().search(SearchConditions(created_from=60.0))

    assert [parameters["Match"] for _, parameters in client.calls] == ["CreationTime = ['1970-01-01T00:01:00Z',)"]


async def test_a_failed_call_is_not_reported_as_succeeded() -> None:
    client = scripted(error())

    with pytest.raises(UpstreamError, match="it failed"):
        await client.source().search(EVERYTHING)

    assert client.events == ["permit", "call"]


async def test_many_categories_are_searched_in_groups_and_the_results_are_one() -> None:
    wanted = SearchConditions(category_ids=frozenset(range(1, CATEGORIES_PER_SEARCH + 2)))
    client = scripted(SearchPage(media(1, 2), 3), SearchPage((), 0), SearchPage(media(3), 1))

    result = await client.source().search(wanted)

    assert [parameters["Match"].count("CateId") for _, parameters in client.calls] == [50, 50, 1]
    assert {each.media_id for each in result.hits} == {"m1", "m2", "m3"}
    assert (result.total, result.missing, result.complete) == (4, 1, False)


async def test_the_number_of_hits_is_unknown_if_one_of_the_searches_does_not_count() -> None:
    wanted = SearchConditions(category_ids=frozenset(range(1, CATEGORIES_PER_SEARCH + 2)))

    result = await scripted(SearchPage(media(1), 1), SearchPage(media(2), None)).source().search(wanted)

    assert (result.total, result.complete) == (None, True)


async def test_without_any_category_nothing_is_searched() -> None:
    client = scripted()

    result = await client.source().search(SearchConditions(category_ids=frozenset()))

    assert (result.hits, result.total, client.calls) == ((), 0, [])


async def test_so_many_pages_are_read_at_most() -> None:
    first, second = media(*range(100)), media(*range(99, 199))
    client = scripted(SearchPage(first, 400), SearchPage(second, 301))

    assert (await client.source().search(EVERYTHING, most_pages=2)).missing == 400 - 199
    assert len(client.calls) == 2


@pytest.mark.parametrize(("total", "missing"), [(150, 50), (None, 1)])
async def test_hits_on_pages_that_are_not_read_are_missing(total: int | None, missing: int) -> None:
    client = scripted(SearchPage(media(*range(100)), total))

    result = await client.source().search(EVERYTHING, most_pages=1)

    assert (len(result.hits), len(client.calls)) == (100, 1)
    assert (result.missing, result.complete) == (missing, False)


async def test_seconds_with_more_media_than_can_be_reached_are_named() -> None:
    def page(parameters: Mapping[str, str]) -> SearchPage:
        if "('" in parameters["Match"]:
            return SearchPage((), None)
        first = int(parameters["PageNo"]) * PAGE_SIZE
        at = 9.0 if "CateId = 1 " in parameters["Match"] else 7.0
        return SearchPage(media(*range(first, first + PAGE_SIZE), created_at=at), None)

    wanted = SearchConditions(category_ids=frozenset(range(1, CATEGORIES_PER_SEARCH + 2)))
    result = await Client(page).source().search(wanted)

    assert (result.crowded, result.complete) == ((9.0, 7.0), False)
    assert CEILING <= len(result.hits) <= CEILING + PAGE_SIZE


async def test_hits_without_order_are_malformed() -> None:
    with pytest.raises(UpstreamError, match="not ordered by CreationTime") as caught:
        await scripted(SearchPage(media(2, 1), 2)).source().search(EVERYTHING)

    assert caught.value.kind is ErrorKind.MALFORMED


def test_the_media_of_a_result_are_the_hits_that_meet_the_conditions() -> None:
    hits = (MediaDetails("a", tags=("new",)), MediaDetails("b", tags=("old",)), MediaDetails("c"))

    assert SearchResult(hits, 3).media_ids(SearchConditions(tags=("new",))) == {"a"}
    assert SearchResult(hits, 3).media_ids(SearchConditions(tags=("other",))) == set()
    assert SearchResult((), 0).media_ids(EVERYTHING) == set()


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (SearchResult((MediaDetails("a"), MediaDetails("b")), 2), "no hit has the fields"),
        (SearchResult((), None), "did not count 0"),
        (SearchResult((), 7), "did not count 0"),
    ],
)
def test_a_result_that_does_not_show_which_media_meet_the_conditions_is_malformed(
    result: SearchResult, reason: str
) -> None:
    with pytest.raises(UpstreamError, match=reason) as caught:
        result.media_ids(SearchConditions(tags=("new",)))

    assert (caught.value.code, caught.value.kind) == ("malformed", ErrorKind.MALFORMED)
    assert caught.value.advice


async def test_details_are_of_now() -> None:
    client = scripted(VideoInfos((MediaDetails("a", title="t"),), frozenset("b")))

    infos = await client.source().details(["a", "b"])

    assert infos == VideoInfos((MediaDetails("a", title="t"),), frozenset("b"))
    assert infos.details[0].observed_at == NOW
    assert client.calls == [("GetVideoInfos", {"VideoIds": "a,b"})]


@pytest.mark.parametrize("code", ["InvalidVideo.NotFound", "invalidvideo.notfound"])
async def test_an_answer_that_media_do_not_exist_is_narrowed_down_to_those_that_do_not(code: str) -> None:
    def infos(parameters: Mapping[str, str]) -> VideoInfos | UpstreamError:
        media_ids = parameters["VideoIds"].split(",")
        return error(code) if "gone" in media_ids else VideoInfos(tuple(map(MediaDetails, media_ids)), frozenset())

    client = Client(infos)

    found = await client.source().details(["a", "gone", "b", "c", "d"])

    assert [each.media_id for each in found.details] == ["a", "b", "c", "d"]
    assert found.missing == {"gone"}
    requested = [parameters["VideoIds"] for _, parameters in client.calls]
    assert requested == ["a,gone,b,c,d", "a,gone", "a", "gone", "b,c,d"]
    # The service has answered each of these calls.
    assert client.events == ["permit", "call", "GetVideoInfos"] * 5


async def test_another_error_of_details_is_raised() -> None:
    with pytest.raises(UpstreamError, match="it failed"):
        await scripted(error()).source().details(["a", "b"])


ONE, TWO, THREE = (Category(number, f"category {number}", None, 0) for number in (1, 2, 3))


def listed(
    *given: Category, total: int | None, parents: tuple[int, ...] = (), length: int | None = None
) -> CategoryPage:
    return CategoryPage(given, frozenset(parents), total, len(given) if length is None else length)


async def test_the_tree_is_read_below_each_category_that_has_others_below_it() -> None:
    two, four, five = (
        Category(number, "x", parent, level) for number, parent, level in ((2, 1, 1), (4, 3, 1), (5, 4, 2))
    )
    pages = {
        "-1": listed(ONE, THREE, total=2, parents=(1, 3)),
        "1": listed(two, total=1),
        "3": listed(four, total=1, parents=(4,)),
        "4": listed(five, total=1),
    }
    client = Client(lambda parameters: pages[parameters["CateId"]])

    assert await client.source().categories() == CategoryTree([ONE, two, THREE, four, five])
    assert sorted((each["CateId"], each["PageNo"]) for _, each in client.calls) == [
        (each, "1") for each in sorted(pages)
    ]
    assert client.events == ["permit", "call", "GetCategories"] * 4


async def test_all_pages_of_a_level_are_read() -> None:
    many = [Category(number, "x", None, 0) for number in range(1, 2 * categories.PAGE_SIZE + 1)]
    first, second = many[: categories.PAGE_SIZE], many[categories.PAGE_SIZE :]
    counted = scripted(listed(*first, total=200), listed(*second, total=200))
    uncounted = scripted(listed(*first, total=None), listed(*second[:-1], total=None))

    assert await counted.source().categories() == CategoryTree(many)
    assert await uncounted.source().categories() == CategoryTree(many[:-1])
    for client in (counted, uncounted):
        assert [(parameters["CateId"], parameters["PageNo"]) for _, parameters in client.calls] == [
            ("-1", "1"),
            ("-1", "2"),
        ]


async def test_a_page_of_categories_that_repeats_another_is_the_last_one() -> None:
    many = [Category(number, "x", None, 0) for number in range(1, categories.PAGE_SIZE + 1)]
    client = Client(lambda _: listed(*many, total=None))

    assert await client.source().categories() == CategoryTree(many)
    assert len(client.calls) == 2


async def test_a_tree_without_end_is_malformed() -> None:
    def page(parameters: Mapping[str, str]) -> CategoryPage:
        number = int(parameters["CateId"]) + 2
        return listed(Category(number, "x", None, 0), total=1, parents=(number,))

    client = Client(page)

    with pytest.raises(UpstreamError, match="has no end"):
        await client.source().categories()
    assert len(client.calls) == 10_200


@pytest.mark.parametrize("total", [None, 3])
async def test_no_categories_are_malformed_unless_the_service_counts_none(total: int | None) -> None:
    with pytest.raises(UpstreamError, match="does not count 0"):
        await scripted(listed(total=total)).source().categories(CategoryTree([ONE]))
    assert await scripted(listed(total=0)).source().categories(CategoryTree([ONE])) == CategoryTree()


@pytest.mark.parametrize(
    "answer",
    [
        listed(ONE, total=2),  # the other one is not listed
        listed(ONE, total=2, length=2),  # it is listed without a usable ID
        listed(ONE, TWO, replace(TWO, name="other"), total=3),  # it is listed with two names
        listed(ONE, ONE, total=2),  # one is listed twice in its place
    ],
)
async def test_known_categories_stay_while_some_are_missing(answer: CategoryPage) -> None:
    assert await scripted(answer).source().categories(CategoryTree([TWO])) == CategoryTree([ONE, TWO])
    assert await scripted(answer).source().categories() == CategoryTree([ONE])


async def test_known_categories_that_are_not_listed_any_more_are_gone() -> None:
    known, renamed = CategoryTree([ONE, TWO]), replace(ONE, name="new name")

    tree = await scripted(listed(renamed, total=1)).source().categories(known)

    assert tree == CategoryTree([renamed])
