from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from exporter.simulator.media_library import Video
from exporter.simulator.parameters import format_time
from exporter.simulator.variants import parse_variants
from tests.simulator.account_requests import ids, requested
from tests.simulator.clients import Clock, simulator
from tests.steps import steps

if TYPE_CHECKING:
    from exporter.simulator.service import Simulator

SEARCH = "SearchMedia"


def video(number: int, **known: Any) -> Video:
    return Video(
        f"{number:032x}", **{"title": f"Title {number}", "duration": 1.5, "created": number, "modified": 9, **known}
    )


def small(clock: Clock, *variants: str) -> tuple[Simulator, int, int]:
    """An account of a few media, and the IDs of a category and of one below it."""
    service = simulator(clock, media=0, variants=parse_variants(variants))
    tree = service.library.categories
    parent = next(each for each in tree.by_id.values() if each.level == 0 and tree.children(each.category_id))
    child = tree.children(parent.category_id)[0]
    service.library.put(
        video(1, tags=("promo",), category_id=parent.category_id, description="spring"),
        video(2, tags=("promo-2026", "vip"), category_id=child.category_id, status="Blocked"),
        video(3, title="Other", size=500, duration=90.0),
    )
    return service, parent.category_id, child.category_id


@pytest.mark.parametrize(
    ("match", "found"),
    [
        ("", [1, 2, 3]),
        ("Title = 'Title'", [1, 2]),
        ("Title in ('Other','Title 1')", [1, 3]),
        ("Description = 'ring'", [1]),
        ("Status in ('Blocked')", [2]),
        ("Status = 'Normal' and Title = 'Title'", [1]),
        ("(Status = 'Blocked' or Title = 'Other')", [2, 3]),
        (f"VideoId = '{3:032x}'", [3]),
        (f"VideoId in ('{3:032x}','{1:032x}','{9:032x}') and Title = 'Title'", [1]),
        ("Duration = [1.5,90)", [1, 2]),
        ("Size = (0,)", [3]),
        ("CreationTime = ['1970-01-01T00:00:02Z',)", [2, 3]),
        ("CreationTime = ('1970-01-01T00:00:02Z',)", [3]),
        ("CreationTime = (,'1970-01-01T00:00:02Z']", [1, 2]),
        ("AppId in ('app-1000000')", [1, 2, 3]),
        ("StorageLocation = 'elsewhere'", []),
    ],
)
async def test_filters(clock: Clock, match: str, found: list[int]) -> None:
    service, *_ = small(clock)
    document = await requested(service, clock, SEARCH, Match=match, SortBy="CreationTime:Asc")
    assert ids(document) == [f"{number:032x}" for number in found]
    assert document["Total"] == len(found)


@pytest.mark.parametrize(
    ("variant", "match", "found"),
    [
        ("tags:words", "Tags in ('promo')", [1]),
        ("tags:substring", "Tags in ('promo')", [1, 2]),
        ("tags:substring", "Tags = 'ip'", [2]),
        ("subcategories:excluded", "CateId = PARENT", [1]),
        ("subcategories:included", "CateId = PARENT", [1, 2]),
        ("subcategories:included", "CateId = CHILD", [2]),
        ("subcategories:included", "CateId = 5", []),
    ],
)
async def test_what_is_not_documented(clock: Clock, variant: str, match: str, found: list[int]) -> None:
    service, parent, child = small(clock, variant)
    match = match.replace("PARENT", str(parent)).replace("CHILD", str(child))
    document = await requested(service, clock, SEARCH, Match=match, SortBy="CreationTime:Asc")
    assert ids(document) == [f"{number:032x}" for number in found]


async def test_fields_are_those_requested(clock: Clock) -> None:
    service, parent, _ = small(clock)
    (row,) = (await requested(service, clock, SEARCH, Match="Title = 'Title 1'", Fields="Title,CateId,Tags"))[
        "MediaList"
    ]
    assert row == {
        "MediaId": f"{1:032x}",
        "MediaType": "video",
        "CreationTime": "1970-01-01T00:00:01Z",
        "Video": {
            "VideoId": f"{1:032x}",
            "Title": "Title 1",
            "CateId": parent,
            "Tags": "promo",
            "CreationTime": "1970-01-01T00:00:01Z",
        },
    }
    (row,) = (await requested(service, clock, SEARCH, Match="Title = 'Title 1'"))["MediaList"]
    assert set(row["Video"]) == {"VideoId", "CreationTime"}


@pytest.mark.parametrize(("form", "expected"), [("absent", {}), ("null", {"CateId": None, "CateName": None})])
async def test_media_without_a_category(clock: Clock, form: str, expected: dict[str, None]) -> None:
    service, *_ = small(clock, f"uncategorised:{form}")
    (row,) = (await requested(service, clock, SEARCH, Match="Title = 'Other'", Fields="CateId,CateName"))["MediaList"]
    assert {name: row["Video"][name] for name in ("CateId", "CateName") if name in row["Video"]} == expected


async def test_numbers_as_strings(clock: Clock) -> None:
    service, parent, _ = small(clock, "numbers:strings")
    document = await requested(service, clock, SEARCH, Match="Title = 'Title 1'", Fields="CateId,Duration,Size")
    fields = document["MediaList"][0]["Video"]
    assert (document["Total"], fields["CateId"], fields["Duration"], fields["Size"]) == ("1", str(parent), "1.5", "0")


async def test_pages_by_number_end_at_5000(clock: Clock) -> None:
    service = simulator(clock, media=0)
    service.library.put(*(video(number) for number in range(5_150)))
    page = {"SortBy": "CreationTime:Asc", "PageSize": 100}
    fiftieth = await requested(service, clock, SEARCH, **page, PageNo=50)
    assert (fiftieth["Total"], ids(fiftieth)[-1]) == (5_150, f"{4_999:032x}")
    assert ids(await requested(service, clock, SEARCH, **page, PageNo=51)) == []
    rest = await requested(service, clock, SEARCH, **page, Match=f"CreationTime = ('{format_time(4_999)}',)")
    assert (rest["Total"], ids(rest)[0]) == (150, f"{5_000:032x}")
    service.change(variants=parse_variants(["beyond_5000:error"]))
    assert (await requested(service, clock, SEARCH, **page, PageNo=51))["Code"] == "InvalidParameter"


async def test_a_walk_by_token_reaches_everything_in_steps_of_100_media(clock: Clock) -> None:
    service = simulator(clock, media=0)
    service.library.put(*(video(number) for number in range(230)))
    page = {"SortBy": "CreationTime:Asc", "PageSize": 50}
    first = await requested(service, clock, SEARCH, **page)
    assert len(first["ScrollToken"]) == 32
    found = ids(first)
    for number in range(2, 7):
        found += ids(await requested(service, clock, SEARCH, **page, PageNo=number, ScrollToken=first["ScrollToken"]))
    assert found == [f"{number:032x}" for number in range(230)]


@pytest.mark.parametrize(
    ("variant", "size", "page", "code"),
    [
        ("scroll:100_media", 50, 2, None),
        ("scroll:100_media", 100, 2, "InvalidParameter"),
        ("scroll:100_media", 20, 5, None),
        ("scroll:100_media", 20, 6, "InvalidParameter"),
        ("scroll:5_pages", 100, 6, None),
        ("scroll:5_pages", 100, 7, "InvalidParameter"),
    ],
)
async def test_how_far_a_token_reaches(clock: Clock, variant: str, size: int, page: int, code: str | None) -> None:
    service = simulator(clock, media=0, variants=parse_variants([variant]))
    token = (await requested(service, clock, SEARCH, PageSize=size))["ScrollToken"]
    assert (await requested(service, clock, SEARCH, PageSize=size, PageNo=page, ScrollToken=token)).get("Code") == code


async def test_tokens_expire(clock: Clock) -> None:
    service, *_ = small(clock)
    token = (await requested(service, clock, SEARCH))["ScrollToken"]
    assert "Code" not in await requested(service, clock, SEARCH, ScrollToken=token)
    clock.now += 601
    expired = {"Code": "InvalidScrollToken.Expired"}
    assert expired.items() <= (await requested(service, clock, SEARCH, ScrollToken=token)).items()
    assert expired.items() <= (await requested(service, clock, SEARCH, ScrollToken="0" * 32)).items()
    service.change(variants=parse_variants(["scroll_token:expiring"]))
    token = (await requested(service, clock, SEARCH))["ScrollToken"]
    assert "Code" not in await requested(service, clock, SEARCH, ScrollToken=token)
    assert expired.items() <= (await requested(service, clock, SEARCH, ScrollToken=token)).items()


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"PageSize": 101}, "InvalidParameter"),
        ({"PageSize": 0}, "InvalidParameter"),
        ({"PageNo": "x"}, "InvalidParameter"),
        ({"SearchType": "film"}, "InvalidParameter"),
        ({"SortBy": "Title:Asc"}, "InvalidParameter"),
        ({"SortBy": "CreationTime"}, "InvalidParameter"),
        ({"SortBy": "CreationTime:Asc,ModificationTime:Asc", "ScrollToken": "a"}, "SortByExceededMax"),
        ({"Match": "Title > 'a'"}, "ErrorMatchSyntax"),
    ],
)
async def test_wrong_parameters(clock: Clock, parameters: dict[str, object], code: str) -> None:
    service, *_ = small(clock)
    assert (await requested(service, clock, SEARCH, **parameters))["Code"] == code


async def test_other_kinds_of_media_are_none(clock: Clock) -> None:
    service, *_ = small(clock)
    document = await requested(service, clock, SEARCH, SearchType="audio")
    assert (document["Total"], document["MediaList"]) == (0, [])


async def test_sorting(clock: Clock) -> None:
    service = simulator(clock, media=0)
    service.library.put(video(1, modified=5), video(2, modified=5), video(3, modified=4))
    for sort, found in {
        "": [3, 2, 1],
        "CreationTime:Asc": [1, 2, 3],
        "ModificationTime:Desc,CreationTime:Desc": [2, 1, 3],
        "ModificationTime:Asc,CreationTime:Asc": [3, 1, 2],
    }.items():
        assert ids(await requested(service, clock, SEARCH, SortBy=sort)) == [f"{number:032x}" for number in found]


async def test_a_page_takes_no_time_that_grows_with_the_media(clock: Clock) -> None:
    service = simulator(clock, media=20_000)

    def page(number: int) -> dict[str, Any]:
        search = {"SortBy": "CreationTime:Asc", "PageSize": "100", "Fields": "Title,Tags,CateId", "PageNo": str(number)}
        return service.actions[SEARCH].respond(search, clock.now, service.conditions.variants)

    page(1)
    found, taken = steps(lambda: page(50))
    assert len(found["MediaList"]) == 100
    assert taken < 10_000
