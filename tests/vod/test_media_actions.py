"""Requests and responses of SearchMedia, GetVideoInfos and GetCategories, in both documented forms."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from exporter.core.media_details import Category, MediaDetails
from exporter.core.media_search import SearchConditions, SearchRequest
from exporter.errors import UpstreamError
from exporter.vod import categories, search_media, video_infos
from exporter.vod.categories import CATEGORIES
from exporter.vod.responses import RawResponse, decode_response
from exporter.vod.row_values import LARGEST_NUMBER, LONGEST_ID
from exporter.vod.search_media import SEARCH_MEDIA
from exporter.vod.video_infos import VIDEO_INFOS

if TYPE_CHECKING:
    from exporter.vod.actions import Action

FIRST = SearchRequest(None, exclusive=False, page=1)
NOTHING = SearchConditions()
ID = "93ab850b4f6f44eab54b6e91d24d81d4"
VIDEO = {
    "VideoId": ID,
    "Title": "t\n",
    "CateId": 781111,
    "CateName": "教程",
    "Tags": "a,b",
    "Status": "Normal",
    "AppId": "app-1000000",
    "CreationTime": "2026-08-20T04:29:04Z",
}
DETAILS = MediaDetails(ID, "t", 781111, "教程", ("a", "b"), "Normal", 1787200144.0, "app-1000000")


def searched(answer: Any, size: int = 100) -> Any:
    return SEARCH_MEDIA.decode(json.dumps(answer).encode(), {"PageSize": str(size)})


@pytest.mark.parametrize(
    ("request_", "wanted", "ids", "match"),
    [
        (FIRST, NOTHING, (), None),
        (FIRST, NOTHING, (5,), "CateId = 5"),
        (FIRST, SearchConditions(tags=("a", "b")), (5, 6), "(CateId = 5 or CateId = 6) and Tags in ('a','b')"),
        (FIRST, SearchConditions(title="课 1", statuses=("Normal",)), (), "Title = '课 1' and Status in ('Normal')"),
        (FIRST, SearchConditions(title="it's", tags=("teacher's", "a")), (), None),
        (SearchRequest(1787200144.7, exclusive=False, page=1), NOTHING, (), "CreationTime = ['2026-08-20T04:29:04Z',)"),
        (SearchRequest(1787200144.0, exclusive=True, page=1), NOTHING, (), "CreationTime = ('2026-08-20T04:29:04Z',)"),
    ],
)
def test_match_as_the_manual_writes_it(
    request_: SearchRequest, wanted: SearchConditions, ids: tuple[int, ...], match: str | None
) -> None:
    given = search_media.parameters(request_, wanted, ids)
    assert given.get("Match") == match
    assert given["SortBy"] == "CreationTime:Asc"
    assert (given["SearchType"], given["Fields"]) == ("video", search_media.FIELDS)
    assert (given["PageNo"], given["PageSize"]) == ("1", "100")


def test_many_categories_stay_below_4_kb() -> None:
    ids = range(10**9, 10**9 + search_media.CATEGORIES_PER_SEARCH)
    assert len(search_media.parameters(FIRST, NOTHING, ids)["Match"]) < 2_000


@pytest.mark.parametrize(
    "video",
    [VIDEO, {**VIDEO, "CateId": "781111"}, {**VIDEO, "Tags": '["a", "b"]'}, {**VIDEO, "CateId": 781111.0}],
    ids=["numbers", "strings", "list", "float"],
)
def test_a_hit_in_each_form(video: dict[str, Any]) -> None:
    page = searched({"Total": "1", "MediaList": [{"MediaId": ID, "MediaType": "video", "Video": video}]})
    assert (page.hits, page.total, page.skipped) == ((DETAILS,), 1, 0)


def test_the_time_of_a_hit_is_that_of_the_video_before_its_own() -> None:
    hit = {"MediaId": ID, "CreationTime": "1970-01-01T00:00:09Z", "Video": {"CreationTime": ""}}
    assert [each.created_at for each in searched({"MediaList": [hit]}).hits] == [9.0]


def test_a_hit_without_details_and_one_without_an_id() -> None:
    page = searched({"Total": 2, "MediaList": [{"MediaId": ID, "CreationTime": "1970-01-01T00:00:09Z"}, {}]})
    assert page.hits == (MediaDetails(ID, created_at=9.0),)
    assert page.skipped == 1


@pytest.mark.parametrize(("tags", "read"), [("a,b", ("a", "b")), (' ["a"]', ("a",)), ("", ()), (["a", 5], ("a", "5"))])
def test_tags_in_each_form(tags: object, read: tuple[str, ...]) -> None:
    (hit,) = searched({"MediaList": [{"MediaId": ID, "Video": {"Tags": tags}}]}).hits
    assert hit.tags == read


@pytest.mark.parametrize("listed", ["", "[]", " [] ", f'[{{"MediaId": "{ID}"}}]'])
def test_a_list_may_be_given_as_text(listed: str) -> None:
    assert len(searched({"Total": 1, "MediaList": listed}).hits) == ("MediaId" in listed)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
def test_the_time_zone_of_this_machine_does_not_matter(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        (hit,) = searched({"MediaList": [{"MediaId": ID, "CreationTime": "1970-01-02T00:00:09Z"}]}).hits
        assert hit.created_at == 86_409.0
        request = SearchRequest(86_409.0, exclusive=False, page=1)
        assert search_media.parameters(request, NOTHING)["Match"] == "CreationTime = ['1970-01-02T00:00:09Z',)"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("category", [None, 0, -1, "", "x"])
def test_media_without_a_category(category: object) -> None:
    (hit,) = searched({"MediaList": [{"MediaId": ID, "Video": {"CateId": category, "CateName": "x"}}]}).hits
    assert (hit.category_id, hit.category) == (None, None)


def test_every_detail_of_a_hit() -> None:
    more = {"StorageClass": "IA", "ReferenceId": "r", "CateId": 1, "Title": "x" * 129}
    (hit,) = searched({"MediaList": [{"MediaId": "other", "Video": {**VIDEO, **more}}]}).hits
    assert (hit.media_id, hit.storage_class, hit.reference_id, hit.observed_at) == (ID, "IA", "r", 0.0)
    assert (hit.category_id, hit.title) == (1, "x" * 127 + "…")
    (hit,) = searched({"MediaList": [{"MediaId": "m", "Title": "x" * 128}]}).hits
    assert (hit.media_id, hit.title) == ("m", "x" * 128)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"Total": 3, "MediaList": [{"MediaId": ID}] * 3}, "MediaList has 3 hits, but 2 were requested"),
        ({"Total": -1}, "Total is negative"),
        ({"MediaList": []}, "neither hits nor a Total"),
        ({"Total": 1, "MediaList": [{"MediaId": ""}]}, "no hit of MediaList has an ID"),
        ({"Total": 0, "MediaList": "x"}, "MediaList is not a list of objects"),
        ({"Total": 0, "Success": False}, "the response contains an error: Success is False"),
    ],
)
def test_a_rejected_search_says_why(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        searched(answer, size=2)
    assert caught.value.message.startswith(message)


def test_a_body_that_can_be_repaired_is_an_answer() -> None:
    assert SEARCH_MEDIA.decode(b'{"Total": 0, "Other": NaN}', {"PageSize": "2"}).total == 0


@pytest.mark.parametrize("value", [b'"\\q"', b"1e400", b"1" * 5_000], ids=["escape", "float", "digits"])
def test_what_is_no_json_does_not_lack_fields(value: bytes) -> None:
    with pytest.raises(UpstreamError, match="the response is not JSON that can be read"):
        SEARCH_MEDIA.decode(b'{"Total":0,"MediaList":[],"Other":' + value + b"}", {"PageSize": "100"})


def test_an_error_in_place_of_an_answer_is_named() -> None:
    with pytest.raises(UpstreamError, match=r"^the response contains an error: no: this is not a response of Search"):
        searched({"Code": "Forbidden", "Message": "no"})


@pytest.mark.parametrize(("given", "total"), [(LARGEST_NUMBER, LARGEST_NUMBER), (LARGEST_NUMBER + 1, None)])
def test_a_number_is_used_up_to_the_largest(given: int, total: int | None) -> None:
    assert searched({"Total": given, "MediaList": [{"MediaId": ID}]}).total == total


def test_no_hits() -> None:
    page = searched({"RequestId": "R", "Total": 0})
    assert (page.hits, page.total) == ((), 0)


@pytest.mark.parametrize(
    "answer",
    [
        {"RequestId": "R"},
        {"MediaList": []},
        {"Total": -1},
        {"Total": 1, "MediaList": [{"MediaId": "\x00"}]},
        {"Total": 3, "MediaList": [{"MediaId": ID}] * 3},
        [],
        "text",
        {"Code": "Forbidden", "Message": "no"},
    ],
)
def test_what_is_no_answer_of_a_search_is_malformed(answer: object) -> None:
    with pytest.raises(UpstreamError) as caught:
        searched(answer, size=2)
    assert caught.value.code == "malformed"


@pytest.mark.parametrize("missing", [["gone"], '["gone"]'], ids=["list", "text"])
def test_video_infos_in_each_form(missing: object) -> None:
    body = json.dumps({"VideoList": [VIDEO, {"VideoId": "other"}, 7], "NonExistVideoIds": missing}).encode()
    infos = VIDEO_INFOS.decode(body, video_infos.parameters([ID, "gone", "silent"]))
    assert infos.details == (DETAILS,)
    assert infos.missing == {"gone"}


def test_fields_of_media_that_look_like_an_error_are_none() -> None:
    answer = {"VideoList": [{**VIDEO, "Code": "A1"}], "Success": False}
    assert VIDEO_INFOS.decode(json.dumps(answer).encode(), video_infos.parameters([ID])).details == (DETAILS,)


def test_fields_of_hits_that_look_like_an_error_are_none() -> None:
    hit = {"MediaId": ID, "Video": VIDEO, "Code": "A1"}
    assert searched({"Total": 1, "MediaList": [hit], "Success": False}).hits == (DETAILS,)
    assert len(searched({"Total": 2, "MediaList": [{"MediaId": ID}] * 2}, size=2).hits) == 2


@pytest.mark.parametrize("length", [1, LONGEST_ID, LONGEST_ID + 1])
def test_an_id_is_used_up_to_its_largest_length(length: int) -> None:
    listed = [{"MediaId": "x" * length}, {"MediaId": ID}]
    assert len(searched({"Total": 2, "MediaList": listed}).hits) == (2 if length <= LONGEST_ID else 1)


def test_media_that_were_not_requested_are_no_answer() -> None:
    body = json.dumps({"VideoList": [{**VIDEO, "VideoId": "other"}]}).encode()
    with pytest.raises(UpstreamError, match=r"^the response contains none of the requested media$"):
        VIDEO_INFOS.decode(body, video_infos.parameters([ID]))


@pytest.mark.parametrize("answer", [{}, {"VideoList": []}, {"NonExistVideoIds": ["other"]}, {"VideoList": "x"}])
def test_video_infos_that_name_none_of_the_media_are_malformed(answer: object) -> None:
    with pytest.raises(UpstreamError):
        VIDEO_INFOS.decode(json.dumps(answer).encode(), video_infos.parameters([ID]))


def test_categories_in_each_form() -> None:
    rows = [
        {"CateName": "no ID"},
        {"CateId": 99},
        {"CateId": "100", "CateName": "Movie", "Level": "0", "ParentId": "-1", "SubTotal": "2"},
        {"CateId": 101, "CateName": "News", "Level": 0, "SubTotal": 0},
        {"CateId": 102, "CateName": "Deep", "Level": 1},
        {"CateId": 103, "CateName": "Deepest", "Level": 2},
        {"CateId": 104, "CateName": "somewhere"},
    ]
    body = json.dumps({"SubTotal": 7, "SubCategories": {"Category": rows}}).encode()
    page = CATEGORIES.decode(body, categories.parameters(categories.ROOT, 1))
    assert page.categories == (
        Category(100, "Movie", None, 0),
        Category(101, "News", None, 0),
        Category(102, "Deep", None, 1),
        Category(103, "Deepest", None, 2),
        Category(104, "somewhere", None, 0),
    )
    # Where it is not given whether others are below it, they are requested unless none can be.
    assert page.parents == {100, 102, 104}
    assert (page.total, page.listed) == (7, 7)


def test_categories_below_another_have_it_as_their_parent() -> None:
    body = json.dumps({"SubCategories": [{"CateId": 1, "CateName": "x", "Level": 1}]}).encode()
    assert CATEGORIES.decode(body, categories.parameters(7, 1)).categories == (Category(1, "x", 7, 1),)


def test_fields_of_categories_that_look_like_an_error_are_none() -> None:
    row = {"CateId": 1, "CateName": "x", "Code": "A1"}
    answer = {"SubCategories": {"Category": [row]}, "Category": {**row, "CateId": 7}, "Success": False}
    assert CATEGORIES.decode(json.dumps(answer).encode(), categories.parameters(7, 1)).listed == 1
    answer = {"SubTotal": 0, "Category": {**row, "CateId": 7}}
    assert CATEGORIES.decode(json.dumps(answer).encode(), categories.parameters(7, 1)).listed == 0
    answer = {"SubTotal": 0, "Category": [{"Code": "InternalError"}]}
    with pytest.raises(UpstreamError, match="contains an error: InternalError"):
        CATEGORIES.decode(json.dumps(answer).encode(), categories.parameters(7, 1))


ERRORS = [
    {"Code": "InternalError", "Message": "x", "Success": False},
    {"Code": "Throttling.User"},
    {"Success": "false"},
    {"Message": "Internal error"},
    {"Data": {"Code": "InternalError"}},
]
NO_ROWS = [
    (SEARCH_MEDIA, {"Total": 0, "MediaList": []}, {"PageSize": "100"}),
    (VIDEO_INFOS, {"VideoList": [], "NonExistVideoIds": [ID]}, video_infos.parameters([ID])),
    (CATEGORIES, {"SubTotal": 0, "SubCategories": {"Category": []}}, categories.parameters(categories.ROOT, 1)),
    (CATEGORIES, {"SubTotal": 0, "Category": {"CateId": 5, "CateName": "Error"}}, categories.parameters(5, 1)),
]


@pytest.mark.parametrize("fields", ERRORS)
@pytest.mark.parametrize(("action", "answer", "parameters"), NO_ROWS)
def test_an_error_without_rows_is_not_an_empty_answer(
    action: Action[Any], answer: dict[str, Any], parameters: dict[str, str], fields: dict[str, Any]
) -> None:
    body = json.dumps({"RequestId": "R", **answer, **fields}).encode()
    with pytest.raises(UpstreamError):
        decode_response(RawResponse(200, {}, body), action, parameters, now=0, hide=())


@pytest.mark.parametrize("twice", ['"Success":false,"Success":true', '"Code":"InternalError","Code":"200"'])
@pytest.mark.parametrize(("action", "answer", "parameters"), NO_ROWS)
def test_no_rows_beside_different_values_of_a_name_are_not_an_empty_answer(
    action: Action[Any], answer: dict[str, Any], parameters: dict[str, str], twice: str
) -> None:
    body = f"{{{twice},{json.dumps(answer)[1:]}".encode()
    with pytest.raises(UpstreamError):
        decode_response(RawResponse(200, {}, body), action, parameters, now=0, hide=())


@pytest.mark.parametrize(
    "listed",
    [{"Media": [{"MediaId": ID}]}, "timeout", "<html>", 0, False, [None], ["a"], [[]], {"Code": "InternalError"}],
)
@pytest.mark.parametrize(
    ("action", "name", "answer", "parameters"),
    [
        (SEARCH_MEDIA, "MediaList", {"Total": 0}, {"PageSize": "100"}),
        (VIDEO_INFOS, "VideoList", {"NonExistVideoIds": [ID]}, video_infos.parameters([ID])),
        (CATEGORIES, "SubCategories", {"SubTotal": 0}, categories.parameters(categories.ROOT, 1)),
    ],
)
def test_what_is_no_list_of_objects_is_not_an_empty_answer(
    action: Action[Any], name: str, answer: dict[str, Any], parameters: dict[str, str], listed: object
) -> None:
    with pytest.raises(UpstreamError):
        action.decode(json.dumps({**answer, name: listed}).encode(), parameters)


@pytest.mark.parametrize("rows", [[{}], [{"CateId": 0, "CateName": "x"}], [{"CateId": 5}], "timeout", 0])
def test_categories_without_a_usable_one_are_not_an_empty_tree(rows: object) -> None:
    body = json.dumps({"SubTotal": 0, "SubCategories": {"Category": rows}}).encode()
    with pytest.raises(UpstreamError):
        CATEGORIES.decode(body, categories.parameters(categories.ROOT, 1))


@pytest.mark.parametrize("fields", [{}, {"Code": "200", "Message": "OK", "Success": True}, {"code": "Success"}])
@pytest.mark.parametrize(("action", "answer", "parameters"), NO_ROWS)
def test_an_empty_answer_may_say_that_it_is_a_success(
    action: Action[Any], answer: dict[str, Any], parameters: dict[str, str], fields: dict[str, Any]
) -> None:
    body = json.dumps({"RequestId": "R", **answer, **fields}).encode()
    decode_response(RawResponse(200, {}, body), action, parameters, now=0, hide=())


def test_an_error_code_beside_hits_is_that_error() -> None:
    answer = {"Total": 1, "MediaList": [{"MediaId": ID, "Video": VIDEO}], "Code": "InternalError"}
    with pytest.raises(UpstreamError) as caught:
        decode_response(
            RawResponse(200, {}, json.dumps(answer).encode()), SEARCH_MEDIA, {"PageSize": "9"}, now=0, hide=()
        )
    assert caught.value.code == "InternalError"


@pytest.mark.parametrize(("action", "answer", "parameters"), NO_ROWS)
def test_nesting_at_the_limit_of_the_interpreter_is_no_defect(
    action: Action[Any], answer: dict[str, Any], parameters: dict[str, str]
) -> None:
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
        nested = f'{json.dumps(answer)[:-1]},"Other":{"[" * depth}{"]" * depth}}}'
        with contextlib.suppress(UpstreamError):
            action.decode(nested.encode(), parameters)


def test_hits_beside_too_much_to_be_searched_for_an_error_are_malformed() -> None:
    with pytest.raises(UpstreamError, match="content beside its rows that cannot be read"):
        searched({"Total": 1, "MediaList": [{"MediaId": ID}], "Other": "x" * 70_000, "Code": "InternalError"})


def test_a_page_beyond_the_last_hit_has_none() -> None:
    assert searched({"Total": 150, "MediaList": [], "ScrollToken": "x"}).total == 150


def test_other_content_too_large_to_be_searched_for_an_error_is_no_empty_answer() -> None:
    with pytest.raises(UpstreamError, match="no rows and"):
        searched({"Total": 0, "MediaList": [], "Other": "x" * 70_000})


def test_as_many_categories_as_were_requested_are_no_error() -> None:
    rows = [{"CateId": number, "CateName": "x"} for number in range(1, categories.PAGE_SIZE + 1)]
    body = json.dumps({"SubCategories": {"Category": rows}}).encode()
    assert CATEGORIES.decode(body, categories.parameters(categories.ROOT, 1)).listed == categories.PAGE_SIZE


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"CateId": 1, "CateName": "x"}] * 101, "SubCategories has 101 rows, but 100 were requested"),
        ([{"CateId": -1, "CateName": "x"}], "no row of SubCategories has an ID and a name that can be used"),
    ],
)
def test_categories_that_cannot_be_used_are_malformed(rows: list[dict[str, Any]], message: str) -> None:
    body = json.dumps({"SubCategories": {"Category": rows}}).encode()
    with pytest.raises(UpstreamError) as caught:
        CATEGORIES.decode(body, categories.parameters(categories.ROOT, 1))
    assert caught.value.message == message


INFOS = video_infos.parameters([ID])
TREE = categories.parameters(categories.ROOT, 1)


@pytest.mark.parametrize(
    ("action", "parameters", "fields"),
    [
        (SEARCH_MEDIA, {"PageSize": "2"}, "MediaList, Total"),
        (VIDEO_INFOS, INFOS, "VideoList, NonExistVideoIds"),
        (CATEGORIES, TREE, "SubCategories, SubTotal, Category"),
    ],
)
def test_what_is_a_response_to_something_else_says_what_it_lacks(
    action: Action[Any], parameters: dict[str, str], fields: str
) -> None:
    with pytest.raises(UpstreamError) as caught:
        action.decode(b'{"RequestId": "R", "UserList": []}', parameters)
    assert caught.value.message == (f"the response contains none of {fields}: this is not a response of {action.name}")


@pytest.mark.parametrize(
    ("action", "answer", "parameters"),
    [
        (SEARCH_MEDIA, {"MediaList": [{"MediaId": ID}]}, {"PageSize": "2"}),
        (SEARCH_MEDIA, {"Total": 0}, {"PageSize": "2"}),
        (SEARCH_MEDIA, {"Total": 0, "ScrollToken": '{"Code": "x"}'}, {"PageSize": "2"}),
        (VIDEO_INFOS, {"VideoList": [VIDEO]}, INFOS),
        (VIDEO_INFOS, {"VideoList": {"Video": [VIDEO]}}, INFOS),
        (VIDEO_INFOS, {"NonExistVideoIds": [ID]}, INFOS),
        (VIDEO_INFOS, {"NonExistVideoIds": f'["{ID}"]'}, INFOS),
        (CATEGORIES, {"SubCategories": [{"CateId": 1, "CateName": "x"}]}, TREE),
        (CATEGORIES, {"SubTotal": 150}, TREE),
        (CATEGORIES, {"Category": {"CateId": 1, "CateName": "x"}}, TREE),
    ],
)
def test_one_documented_field_is_enough(action: Action[Any], answer: Any, parameters: dict[str, str]) -> None:
    action.decode(json.dumps(answer).encode(), parameters)
