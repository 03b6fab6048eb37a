from __future__ import annotations

import contextlib
import json
import sys
import tracemalloc
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.model import (
    OPERATING_SYSTEMS,
    REGIONS,
    TERMINAL_TYPES,
    Dimensions,
    Measure,
    Page,
    PlayRow,
    RowProblem,
    Slice,
)
from exporter.errors import ErrorKind, UpstreamError
from exporter.vod.play_data import PLAY_DATA, PlayDataSource, parameters
from exporter.vod.responses import RawResponse, decode_response
from tests.vod.pages import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.vod.actions import Action

T = TypeVar("T")

DAY = Slice("main", Dimensions(), date(2024, 3, 22))
EXAMPLE = """{"RequestId":"25818875-5F78-4AF6-D7393642CA58****","TotalCount":1,"PageNo":1,"PageSize":20,
"QoeInfoList":[{"VideoTitle":"阿里云VOD视频标题","VideoDuration":246,"MediaId":"9ae2af636ca6c10412f44891fc****",
"DAU":5,"PlaySuccessVv":20,"PlayDurationPerUv":120,"PlayDuration":2400,"PlayPerVv":4}]}""".encode()
PLAYED = {"MediaId": "m", "DAU": 1, "PlaySuccessVv": 2, "PlayDuration": 3}
NUMBERS = {
    "VideoDuration": "media_duration",
    "DAU": "viewers",
    "PlaySuccessVv": "plays",
    "PlayPerVv": "plays_per_viewer",
    "PlayDuration": "play_duration",
    "PlayDurationPerUv": "play_duration_per_viewer",
}


def body(*rows: object, **fields: object) -> bytes:
    answer: dict[str, object] = {"RequestId": "R", "TotalCount": len(rows), "PageNo": 1, "QoeInfoList": list(rows)}
    return json.dumps({**answer, **fields}).encode()


def raw(row: str) -> bytes:
    """A page of one row, with fields as raw JSON."""
    return f'{{"RequestId":"R","TotalCount":1,"QoeInfoList":[{{"MediaId":"m",{row}}}]}}'.encode()


def refused(content: bytes, *, page: int = 1, media_id: str | None = None) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        decode(content, page=page, media_id=media_id)
    assert (caught.value.code, caught.value.kind) == ("malformed", ErrorKind.MALFORMED)
    return caught.value


def test_example_of_the_page() -> None:
    assert decode(EXAMPLE, page=1, media_id="9ae2af636ca6c10412f44891fc****") == Page(
        rows=(
            PlayRow(
                media_id="9ae2af636ca6c10412f44891fc****",
                title="阿里云VOD视频标题",
                media_duration=246,
                viewers=5,
                plays=20,
                plays_per_viewer=4,
                play_duration=2400,
                play_duration_per_viewer=120,
            ),
        ),
        total_count=1,
        request_id="25818875-5F78-4AF6-D7393642CA58****",
    )


@pytest.mark.parametrize(("wire", "ours"), NUMBERS.items())
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("20", 20),
        ("2.5", 2.5),
        ("20.0", 20.0),
        ("2e3", 2000.0),
        ("0", 0),
        ('"20"', 20),
        ('"2.5"', 2.5),
        ('"2E+3"', 2000.0),
        ('"007"', 7),
        ("9007199254740992", 2**53),
        ("9007199254740992.0", 2.0**53),
        ("-0.0", 0.0),
        ("null", None),
    ],
)
def test_numbers_as_services_write_them(wire: str, ours: str, written: str, value: float | None) -> None:
    (row,) = decode(raw(f'"{wire}":{written}')).rows
    read = getattr(row, ours)
    assert read == value
    assert type(read) is type(value)


def test_missing_fields_are_not_given() -> None:
    page = decode(body({"MediaId": "m"}))
    assert page.rows == (PlayRow("m"),)
    assert {problem.field: problem.reason for problem in page.problems} == {
        "DAU": "missing",
        "PlaySuccessVv": "missing",
        "PlayDuration": "missing",
    }


@pytest.mark.parametrize(("wire", "ours"), NUMBERS.items())
@pytest.mark.parametrize(
    "written",
    [
        "-1",
        "-0.5",
        '"-1"',
        "9007199254740993",
        "9223372036854775808",
        "1e300",
        "007",
        "nan",
        "undefined",
        "+5",
        ".5",
        '"null"',
        '"a\\ud83d"',
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "1" + "0" * 400,
        "9" * 5000,
        "true",
        "false",
        "{}",
        "[]",
        '""',
        '" "',
        '"NaN"',
        '"inf"',
        '"1e400"',
        '"' + "9" * 309 + '"',
        '"' + "9" * 5000 + '"',
        '"1,000"',
        '" 20"',
        '"20\\n"',
        '"1_0"',
        '"0x10"',
        '"٣"',
        '"-"',
        '"."',
        '".5"',
        '"--"',
    ],
)
def test_what_is_no_number_is_not_given_and_costs_nothing_else(wire: str, ours: str, written: str) -> None:
    fields = {name: f'"{name}":7' for name in NUMBERS} | {wire: f'"{wire}":{written}'}
    page = decode(raw(",".join(fields.values())), page=1)

    (row,) = page.rows
    assert {name: getattr(row, name) for name in NUMBERS.values()} == dict.fromkeys(NUMBERS.values(), 7) | {ours: None}
    ((field, media_id, times),) = [(each.field, each.media_id, each.times) for each in page.problems]
    assert (field, media_id, times) == (wire, "m", 1)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("NaN", "not a number"),
        ('"NaN"', "not a number"),
        ("-Infinity", "not a number"),
        ("true", "not a number"),
        ("[1,2]", "not a number"),
        ('"' + "9" * 5000 + '"', "not a number"),
        ("-3", "negative"),
        ("1e400", "too large"),
        ("9" * 5000, "too large"),
        ("1e16", "too large"),
        ("null", "missing"),
    ],
)
def test_the_problem_of_a_number_has_a_reason_and_not_the_value(written: str, reason: str) -> None:
    page = decode(raw(f'"DAU":1,"PlayDuration":1,"PlaySuccessVv":{written}'))
    assert page.problems == (RowProblem("PlaySuccessVv", reason, "m"),)


def test_problems_of_a_page_are_counted_by_field_and_reason() -> None:
    rows = [{"MediaId": f"m{n}", "DAU": n, "PlaySuccessVv": "-", "PlayDuration": -n} for n in range(3)]
    assert decode(body(*rows)).problems == (
        RowProblem("PlaySuccessVv", "not a number", "m0", 3),
        RowProblem("PlayDuration", "negative", "m1", 2),
    )


@pytest.mark.parametrize("rows", [None, []])
def test_no_rows_are_an_empty_page(rows: object) -> None:
    assert decode(body(QoeInfoList=rows), page=1) == Page((), 0, "R")
    assert decode(b'{"TotalCount":0}', page=1) == Page((), 0, "")


@pytest.mark.parametrize(
    "content",
    [b"{}", b'{"RequestId":"R","PageNo":1}', b'{"TotalCount":null,"QoeInfoList":null}', b'{"Code":"200"}'],
)
def test_neither_count_nor_rows_is_no_answer(content: bytes) -> None:
    assert "neither TotalCount nor QoeInfoList" in refused(content).message


@pytest.mark.parametrize(
    ("total", "read"), [(0, 0), (7, 7), (7.0, 7), ("7", 7), ("7.0", 7), (None, None), (2**53, 2**53)]
)
def test_total_count(total: object, read: int | None) -> None:
    page = decode(body(TotalCount=total))
    assert page.total_count == read
    assert type(page.total_count) is type(read)


@pytest.mark.parametrize("total", [-1, 0.5, "-1", "many", "", True, [], {}, "1e400", 2**53 + 1, "9" * 309])
def test_total_count_that_is_none(total: object) -> None:
    assert "TotalCount" in refused(body(TotalCount=total)).message


@pytest.mark.parametrize("field", ["TotalCount", "PageNo"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (-1, "is -1, not a whole number from 0"),
        ("many", "is 'many', not a number"),
        ("1e400", "is not a finite number"),
        ("-1e400", "is not a finite number"),
    ],
)
def test_a_count_that_is_none_is_named_with_what_is_wrong(field: str, value: object, reason: str) -> None:
    assert refused(body(**{field: value})).message == f"{field} {reason}"


def test_a_number_has_at_most_400_bytes() -> None:
    fits, does_not = "1." + "0" * 398, "1." + "0" * 399
    page = decode(f'{{"TotalCount":{fits},"QoeInfoList":[{{"MediaId":"m","DAU":{fits}}}]}}'.encode())
    assert (page.total_count, page.rows) == (1, (PlayRow("m", viewers=1.0),))
    assert refused(f'{{"TotalCount":{does_not}}}'.encode()).message == "TotalCount is '', not a number"
    page = decode(raw(f'"DAU":{does_not},"PlaySuccessVv":-1,"PlayDuration":1'))
    assert RowProblem("DAU", "too large", "m") in page.problems


NO_IDS: list[object] = [None, "", 7, True, [], {}, "a\ufffd", "\ud83d", "x" * 129, "a\0", "a\nb", "\x7f", "\x85"]
NO_ROWS: list[object] = [
    None,
    1,
    "x",
    [],
    {"DAU": 1},
    *({"MediaId": media_id, "DAU": 1} for media_id in NO_IDS),
]


@pytest.mark.parametrize("row", NO_ROWS)
def test_a_row_without_media_id_is_left_out_and_reported(row: object) -> None:
    page = decode(body({"MediaId": "m", "DAU": 1, "PlaySuccessVv": 2, "PlayDuration": 3}, row, TotalCount=2))

    assert [each.media_id for each in page.rows] == ["m"]
    assert page.skipped == 1
    assert page.problems == (RowProblem("MediaId", "missing or damaged", ""),)


@pytest.mark.parametrize("row", NO_ROWS)
@pytest.mark.parametrize("media_id", [None, "m"])
def test_a_page_of_rows_without_media_ids_is_malformed(row: object, media_id: str | None) -> None:
    assert "no row of QoeInfoList" in refused(body(row, TotalCount=0), media_id=media_id).message


@pytest.mark.parametrize(
    "content", [b"", b" ", b"null", b"[]", b'"x"', b"1", b"<html>", b"\xff\xfe", b'{"TotalCount":1']
)
def test_body_that_is_no_object(content: bytes) -> None:
    assert refused(content).message


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"TotalCount":1', "the response is JSON that ends too early"),
        (b"<html>", "the response is HTML or XML, not JSON"),
        (b" <html>", "the response is HTML or XML, not JSON"),
        (b'{"RequestId":"R","QoeInfoList":7}', "QoeInfoList is not a list"),
        (b"[]", "the response is JSON, but not an object"),
        (b" \n", "the response is empty"),
        (b"{'RequestId':'R'}", "the response is not JSON"),
    ],
)
def test_an_unusable_response_is_an_error_with_a_reason(mark: bytes, content: bytes, reason: str) -> None:
    error = refused(mark + content)
    assert error.message.startswith(reason)
    assert "byte" not in error.message
    assert "Expected" not in error.message
    assert error.request_id == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"x" * 65_536, "the response has no rows and 65579 bytes of other content"),
        (b"\xff", "the response has no rows, and other content that cannot be read"),
    ],
)
def test_an_empty_response_with_a_text_that_is_not_searched_for_an_error_is_an_error(text: bytes, reason: str) -> None:
    assert refused(b'{"TotalCount":0,"QoeInfoList":[],"Text":"' + text + b'"}').message == reason


# From which depth on is Python's own business: 3.11 refuses 2,000, 3.13 does not, 3.14 skips over 200,000.
@pytest.mark.parametrize("field", ["VideoTitle", "Unheard"])
def test_deep_nesting(field: str) -> None:
    assert "too deeply" in refused(raw(f'"{field}":' + "[" * 2_000_000 + "]" * 2_000_000)).message


@pytest.mark.parametrize("rows", [[], [PLAYED]])
def test_nesting_at_the_limit_of_the_interpreter(rows: list[dict[str, object]]) -> None:
    """Two readers of JSON, called from different depths, do not give up at the same one."""
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
        with contextlib.suppress(UpstreamError):
            decode(body(*rows)[:-1] + b',"Other":' + b"[" * depth + b"]" * depth + b"}")


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ('"阿里云"', "阿里云"),
        ('""', ""),
        ("null", None),
        ("7", "7"),
        ("7.5", "7.5"),
        ("true", None),
        ("[1]", None),
        ('{"a":1}', None),
        ("1" + "0" * 400, None),
        ('"\\ud83d\\ude00"', "😀"),
        ('"a\\ud83d"', "a\ufffd"),
        ('"\\ud83dx"', "\ufffdx"),
        ('"\\ude00\\ud83d"', "\ufffd\ufffd"),
        ('"\\ud83d\\ud83d\\ude00"', "\ufffd😀"),
        ('"\\ud83d\\\\ude00"', "\ufffd\\ude00"),
        ('"\\\\ud83d\\udead"', "\\ud83d\ufffd"),
        ('"\\"\\ud83d\\n"', '"\ufffd\n'),
        ('"a\\u0000b\\r\\nc\\u009fd"', "a b\r\nc d"),
        ('"a\x7fb"', "a b"),
        ('"x' + "字" * 127 + '"', "x" + "字" * 127),
        ('"x' + "字" * 128 + '"', "x" + "字" * 126 + "…"),
        ('"' + "😀" * 40_000 + '"', "😀" * 127 + "…"),
    ],
)
def test_titles(written: str, title: str | None) -> None:
    assert decode(raw(f'"VideoTitle":{written},"DAU":3')).rows == (PlayRow("m", title, viewers=3),)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("7", ""),
        ("null", ""),
        ('"a\\tb"', ""),
        ("true", "not a text"),
        ('"a\\u0000b"', "control characters"),
        ('"' + "x" * 129 + '"', "too long"),
    ],
)
def test_a_title_that_is_not_used_unchanged_is_reported(written: str, reason: str) -> None:
    page = decode(raw(f'"VideoTitle":{written},"DAU":1,"PlaySuccessVv":2,"PlayDuration":3'))
    assert page.problems == ((RowProblem("VideoTitle", reason, "m"),) if reason else ())


def test_rows_may_be_long_and_titles_full_of_braces() -> None:
    row = {"DAU": 1, "PlaySuccessVv": 2, "PlayDuration": 3}
    for more in ({"New": "x" * 3_000}, {"New": "x" * 1_400, "VideoTitle": "}" * 20}):
        rows = [{"MediaId": f"{number}", **row, **more} for number in range(100)]
        assert len(decode(body(*rows)).rows) == 100
    rows = [{"MediaId": f"{number}", "VideoTitle": "}" * 100, "New": "x" * 3_000} for number in range(100)]
    assert refused(body(*rows)).message == "the response contains far more than the 100 rows requested"


@pytest.mark.parametrize("damage", [b"\xf0\x9f\x98", b"\xed\xa0\xbd", b"\xff"])
def test_title_cut_within_a_character_costs_no_page(damage: bytes) -> None:
    content = raw('"VideoTitle":"a@b","DAU":3').replace(b"@", damage)
    (row,) = decode(content).rows
    assert row.viewers == 3
    assert row.title is not None
    assert row.title.startswith("a\ufffd")
    assert row.title.endswith("b")


@pytest.mark.parametrize("damage", ["\\u0001", "\\ufffd", "\N{REPLACEMENT CHARACTER}", "\x7f", "\x80"])
def test_of_a_page_that_is_valid_otherwise_only_rows_with_damaged_ids_are_left_out(damage: str) -> None:
    rows = [f'{{"MediaId":"{given}","DAU":1,"PlaySuccessVv":2,"PlayDuration":3}}' for given in ("m1", f"m{damage}2")]
    page = decode(f'{{"RequestId":"R","TotalCount":2,"QoeInfoList":[{",".join(rows)}]}}'.encode())
    assert [row.media_id for row in page.rows] == ["m1"]
    assert page.skipped == 1


@pytest.mark.parametrize("fields", [{}, {"New": 1}])
def test_days_share_the_texts_of_media(fields: dict[str, int]) -> None:
    """Otherwise IDs and titles take two fifths of the memory of rows."""
    (first,), (second,), (other,) = (
        decode(
            body({"MediaId": "m" * 32, "VideoTitle": title, "DAU": 1, "PlaySuccessVv": 2, "PlayDuration": 3}, **fields)
        ).rows
        for title in ("标题 1", "标题 1", "标题 2")
    )
    assert (first.title, second.title, other.title) == ("标题 1", "标题 1", "标题 2")
    assert first.title is second.title
    assert first.media_id is second.media_id is other.media_id


def test_byte_order_mark() -> None:
    assert decode(b"\xef\xbb\xbf" + EXAMPLE) == decode(EXAMPLE)


def test_unknown_fields_and_doubled_keys_do_no_harm() -> None:
    content = (
        b'{"New":{"a":[1]},"TotalCount":9,"TotalCount":1,"QoeInfoList":[{"MediaId":"m","New":1e3,"DAU":1,"DAU":2}]}'
    )
    page = decode(content)
    assert (page.rows, page.total_count) == ((PlayRow("m", viewers=2),), 1)


@pytest.mark.parametrize(
    ("echo", "good"), [(2, True), ("2", True), (2.0, True), (None, True), (1, False), (-2, False), ("x", False)]
)
def test_page_number_must_be_the_requested_one(echo: object, good: bool) -> None:  # noqa: FBT001 - a case, not a switch
    content = body({"MediaId": "m"}, PageNo=echo)
    if good:
        assert len(decode(content, page=2).rows) == 1
    else:
        assert "PageNo" in refused(content, page=2).message


@pytest.mark.parametrize(("rows", "requested"), [(101, 100), (150, 100), (2, 1)])
def test_a_page_has_at_most_the_requested_rows(rows: int, requested: int) -> None:
    given = [{"MediaId": str(number), "DAU": 1, "PlaySuccessVv": 2, "PlayDuration": 3} for number in range(rows)]
    with pytest.raises(UpstreamError, match=f"{rows} rows, but {requested} were requested") as caught:
        decode(body(*given), page=1, page_size=requested)
    assert caught.value.kind is ErrorKind.MALFORMED
    assert len(decode(body(*given[:requested]), page=1, page_size=requested).rows) == requested


@pytest.mark.parametrize(
    "made",
    [
        lambda: body(*({"MediaId": f"{n:032x}"} for n in range(150_000))),
        lambda: b'{"TotalCount":1,"QoeInfoList":[' + b",".join([b"{}"] * 1_000_000) + b"]}",
        lambda: b'{"TotalCount":1,"QoeInfoList":[' + b",".join([b'{"Media\\u0049d":"1"}'] * 500_000) + b"]}",
        lambda: raw('"VideoTitle":' + "[" + ",".join(["[]"] * 1_000_000) + "]"),
        lambda: raw('"VideoTitle":"' + "x" * 8_000_000 + '"'),
        lambda: b'{"TotalCount":1,"QoeInfoList":[],"x":"' + b"x" * 1_000_000 + b'"}',
    ],
    ids=["rows", "empty rows", "escaped names", "a title of lists", "a title", "no rows"],
)
def test_an_answer_of_legal_size_takes_little_memory(made: Callable[[], bytes]) -> None:
    content = made()
    tracemalloc.start()
    try:
        with contextlib.suppress(UpstreamError):
            (row,) = decode(content, page=1).rows
            assert len(row.title or "") <= 128
        assert tracemalloc.get_traced_memory()[1] < 4 * len(content) + 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("noise", [b'\\"' * 200_000, b'"' * 200_000, b'":NaN,' * 50_000, b'" :' * 100_000])
def test_what_is_not_json_is_looked_at_once(noise: bytes) -> None:
    """Quadratic time would take hours here."""
    assert refused(b'{"TotalCount":1,"x":"' + noise).message


@pytest.mark.parametrize(
    "fields",
    [
        {"Code": "InternalError", "Message": "x", "Success": False},
        {"Code": "InternalError"},
        {"code": "internalerror"},
        {"Code": 500},
        {"Code": 0},
        {"Code": ["x"]},
        {"Success": False},
        {"success": "false"},
        {"Success": False, "Code": "200"},
        {"Message": "The request has failed."},
        {"Error": {"Code": "InternalError", "Message": "x"}},
        {"Data": {"code": "InternalError"}, "Code": ""},
        {"errorCode": "InternalError"},
        {"error": "something"},
        {"Error": {"Message": "x"}},
        {"Errors": [{"Code": "InternalError"}]},
        {"Errors": [{"Detail": "x"}]},
        {"error_code": "InternalError", "error_msg": "x"},
        {"HttpStatusCode": 503},
        {"Status": "FAILED"},
        {"ret_code": "FAIL"},
        {"RetCode": 1},
        {"ret": -1},
        {"rc": "5"},
        {"ResultCode": "1001"},
        {"bizCode": "isv.error"},
        {"errno": 110},
        {"Err": "boom"},
        {"Exception": "java.lang.NullPointerException"},
        {"Success": "N"},
        {"isSuccess": False},
        {"DynamicCode": "InternalError"},
        {"messageCode": "E1001"},
        {"Succeeded": "false"},
        {"ok": False},
        {"Result": False},
        {"hasError": True},
        {"error": 1},
        {"Status": 500},
        {"State": "Timeout"},
        {"ErrorDesc": "x"},
        {"reason": "x"},
        {"details": ["x"]},
        {"AccessDeniedDetail": {"AuthAction": "vod:x"}},
        {"\uff23\uff4f\uff44\uff45": "InternalError"},
        {"Code ": "InternalError"},
        {"data": {"success": False}},
        {"Response": {"Error": {"Code": "InternalError", "Message": "x"}}},
        {"Data": [[{"a": {"Code": "InternalError"}}]]},
        {"Body": '{"Code":"InternalError"}'},
        {"Result": {"Status": "FAILED"}},
        {"Data": {"QoeInfoList": [{"MediaId": "m"}]}},
        {"totalCount": 7},
        {"Partial": True},
        {"Ready": False},
        {"errorCodeName": "SYS_X"},
        {"errorFlag": "Y"},
        {"TotalCnt": 7},
        {"Data": {"TotalCount": 7, "QoeInfoList": []}},
        {"ret": ["FAIL_SYS_TRAFFIC_LIMIT::busy"]},
        {"bizError": "yes"},
        {"lastException": "x"},
        {"succ": False},
        {"statusText": "Service Unavailable"},
        {"QueryStatus": "Running"},
        {"RateLimited": True},
        {"Degrade": True},
        {"Fallback": 1},
    ],
)
@pytest.mark.parametrize("rows", [{"QoeInfoList": []}, {"QoeInfoList": None}, {}])
@pytest.mark.parametrize("total", [{"TotalCount": 0}, {"TotalCount": 7}, {}])
def test_an_error_without_rows_is_no_answer(
    fields: dict[str, object], rows: dict[str, object], total: dict[str, object]
) -> None:
    content = json.dumps({"RequestId": "R", **total, **rows, **fields}).encode()
    for media_id in (None, "m"):
        assert "contains an error and no rows" in refused(content, media_id=media_id).message


def nested(levels: int, *, in_lists: bool) -> dict[str, object]:
    """A field with so many objects or lists in each other."""
    inner: object = "x"
    for _ in range(levels):
        inner = [inner] if in_lists else {"Inner": inner}
    return {"Outer": inner}


@pytest.mark.parametrize(
    ("fields", "sign"),
    [
        ({"Message": "The request has failed."}, "The request has failed."),
        ({"Message": "no", "Code": "", "Success": None}, "no"),
        ({"Success": False}, "Success is False"),
        ({"Message": " OK ", "Success": "n"}, "Success is n"),
        ({"ErrorDesc": "x" * 81}, f"ErrorDesc is {'x' * 80}"),
        ({"details": ["x" * 81]}, f"details is {'x' * 80}"),
        ({"Code": ["x"]}, "Code is no text"),
        ({"Code ": 0}, "Code  is 0"),
        ({"HttpCode": 0}, "HttpCode is 0"),
        ({"StatusNo": 0}, "StatusNo is 0"),
        ({"Body": ' [{"Code":"InternalError"}]'}, "Code is InternalError"),
        ({"Data": {"QoeInfoList": [{"MediaId": "m"}]}}, "QoeInfoList is given in another place than the API documents"),
        ({"AccessDeniedDetail": {"AuthAction": "播放"}}, 'AccessDeniedDetail is {"AuthAction": "播放"}'),
        ({"errorInfo": {"Text": "x" * 81}}, f'errorInfo is {{"Text": "{"x" * 70}'),
        (nested(13, in_lists=False), "Inner is nested too deeply"),
        (nested(13, in_lists=True), "Outer is nested too deeply"),
    ],
)
def test_the_sign_of_an_error_is_named(fields: dict[str, object], sign: str) -> None:
    assert refused(body(**fields)).message == f"the response contains an error and no rows: {sign}"


@pytest.mark.parametrize(
    "content",
    [
        '{"Code":"InternalError","Message":"系统错误","TotalCount":0,"QoeInfoList":[]}'.encode("gbk"),
        b'{"Code":"InternalError","Message":"a\nb","TotalCount":0,"QoeInfoList":[]}',
        b'{"Code":"InternalError","Time":undefined,"TotalCount":0,"QoeInfoList":[]}',
        b'{"Code":"InternalError","Tags":[NaN,],"TotalCount":0,"QoeInfoList":[]}',
        b'{"Code":"InternalError","Wait":' + b"9" * 5_000 + b',"TotalCount":0,"QoeInfoList":[]}',
        b'{"Code":"InternalError","Message":"\\ud83d","TotalCount":0,"QoeInfoList":[]}',
    ],
)
def test_an_error_that_must_be_repaired_is_an_error_still(content: bytes) -> None:
    response = RawResponse(200, {}, content)
    with pytest.raises(UpstreamError) as caught:
        decode_response(response, PLAY_DATA, {"PageNo": "1", "PageSize": "100", "PlayDate": "20240322"}, now=0, hide=())
    assert caught.value.code in {"InternalError", "malformed"}


def test_rows_under_another_name_are_not_taken_for_no_rows() -> None:
    assert "another letter case" in refused(b'{"TotalCount":0,"qoeInfoList":[{"MediaId":"m"}]}').message


@pytest.mark.parametrize("total", ["-1", '"-"', '""', "NaN", "true", "[]", "1e400"])
def test_rows_are_believed_without_a_usable_total(total: str) -> None:
    row = '{"MediaId":"m","DAU":1,"PlaySuccessVv":2,"PlayDuration":3}'
    page = decode(f'{{"TotalCount":{total},"QoeInfoList":[{row}]}}'.encode())
    assert page.total_count is None
    assert [each.plays for each in page.rows] == [2]
    assert page.problems == (RowProblem("TotalCount", "not a count", ""),)


@pytest.mark.parametrize("value", ["-0.0", '"-0.0"', "-0", " -0.0", "-1e-400"])
def test_zero_has_no_sign(value: str) -> None:
    (row,) = decode(raw(f'"DAU":1,"PlaySuccessVv":{value},"PlayDuration":3')).rows
    assert str(row.plays) in {"0", "0.0"}


@pytest.mark.parametrize("broken", [b'"a\nb"', b'"a\tb"', b'"a\0b"', b'"a\x7fb"'])
def test_an_unescaped_control_character_costs_a_title_that_character(broken: bytes) -> None:
    (row,) = decode(raw(f'"VideoTitle":{broken.decode()},"DAU":1,"PlaySuccessVv":2,"PlayDuration":3')).rows
    assert (row.title, row.plays) == ("a b", 2)


@pytest.mark.parametrize("value", ["[NaN]", '{"a":[NaN]}', "[undefined,1]"])
def test_a_value_that_is_not_json_costs_itself_alone_wherever_it_stands(value: str) -> None:
    (row,) = decode(raw(f'"New":{value},"DAU":1,"PlaySuccessVv":2,"PlayDuration":3')).rows
    assert row.plays == 2


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Code": "200"},
        {"Code": 200},
        {"Code": "OK"},
        {"Code": "success", "Message": "whatever"},
        {"Code": None},
        {"Code": "", "Message": ""},
        {"Success": True, "Message": "whatever"},
        {"Message": "Success"},
        {"Success": None},
        {"Success": 1.0, "succeeded": 2},
        {"Body": "{no JSON", "Text": "[" * 60_000},
        {"Code": 200, "Message": "whatever"},
        {"details": [None, ""], "rowCount": 0, "total": "00"},
        nested(12, in_lists=False),
        nested(12, in_lists=True),
        {"ret": 0, "RetCode": 0, "errno": "0", "error": None, "hasError": False, "Errors": []},
        {"Status": 200, "Message": "请求成功。"},
        {"ret": ["SUCCESS::调用成功"], "statusText": "OK", "QueryStatus": "Finished", "RateLimited": False},
        {"Data": {"TotalCount": 0, "QoeInfoList": []}, "succ": 1, "Default": True, "Blocked": False, "bizError": ""},
        {"HttpStatusCode": 200, "success": "true", "Result": "OK"},
        {"Region": "cn-shanghai", "CostMs": 12, "CodecType": "h264", "Terrain": "x", "Extra": {"Trace": "y"}},
        {"HostId": "vod.aliyuncs.com", "Data": None, "Body": "[]"},
        {
            "TraceId": "err-not-fail",
            "HasMore": False,
            "NextToken": "",
            "IsDefault": True,
            "Invalid": False,
            "errors": 0,
        },
        {
            "Date": "Sat, 28 Nov 2026 00:00:00 GMT",
            "PlayDate": "20261127",
            "RetryAfter": 0,
            "ret": ["SUCCESS::调用成功"],
        },
    ],
)
def test_a_success_without_rows_is_an_empty_page(fields: dict[str, object]) -> None:
    assert decode(body(**fields), play_date="20261127") == Page((), 0, "R")


@pytest.mark.parametrize(
    "content",
    [
        b'{"TotalCount":1,"QoeInfoList":[{"MediaId":"a","PlaySuccessVv":1}],"TotalCount":0,"QoeInfoList":[]}',
        b'{"Code":"Throttling","Code":"200","TotalCount":0,"QoeInfoList":[]}',
        b'{"Success":false,"Success":true,"TotalCount":0,"QoeInfoList":[]}',
        b'{"TotalCount":5,"TotalCount":0}',
        b'{"TotalCount":5,"QoeInfoList":[],"TotalCount":0}',
        b'{"TotalCount":0,"QoeInfoList":[],"Data":{"Code":"InternalError","Code":"200"}}',
        b'{"TotalCount":NaN,"TotalCount":0,"QoeInfoList":[]}',
    ],
)
@pytest.mark.parametrize("media_id", [None, "a"])
def test_no_rows_beside_different_values_of_a_name_are_no_zero(content: bytes, media_id: str | None) -> None:
    assert "different values of a name" in refused(content, media_id=media_id).message


@pytest.mark.parametrize("media_id", [None, "m"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'"Code":"Throttling","Text":"' + b"x" * 70_000 + b'"', id="large"),
        pytest.param(b'"Code":' + b"1" * 5_000, id="digits"),
    ],
)
def test_rows_beside_content_that_may_hold_an_error_may_not_be_all(content: bytes, media_id: str | None) -> None:
    page = decode(body(PLAYED)[:-1] + b"," + content + b"}", media_id=media_id)
    assert (len(page.rows), page.total_count) == (1, None)
    assert page.problems == (RowProblem("TotalCount", "beside content that cannot be read", ""),)


def test_a_name_that_is_not_utf8_beside_rows_costs_no_row() -> None:
    assert decode(body(PLAYED)[:-1] + b',"\xff":1}').total_count == 1


@pytest.mark.parametrize("media_id", [None, "m"])
@pytest.mark.parametrize("fields", [{"Code": "InternalError"}, {"Success": False}, {"retCode": 5}, {"isPartial": True}])
def test_rows_beside_an_error_are_believed_and_their_number_is_not(
    fields: dict[str, object], media_id: str | None
) -> None:
    """If the number of rows were believed, every other media of the listing would get a zero."""
    page = decode(body(PLAYED, **fields), media_id=media_id)
    assert [each.plays for each in page.rows] == [2]
    assert page.total_count is None
    assert page.problems == (RowProblem("TotalCount", "beside an error", ""),)


@pytest.mark.parametrize("fields", [{"New": 1}, {"Code": "200", "Message": "OK"}, {"Success": True}, {"Region": "cn"}])
def test_rows_beside_other_fields_are_a_whole_answer(fields: dict[str, object]) -> None:
    assert decode(body(PLAYED, **fields)) == Page((PlayRow("m", viewers=1, plays=2, play_duration=3),), 1, "R")


def test_a_valid_page_may_have_rows_without_a_title_and_titles_with_control_characters() -> None:
    row = {"MediaId": "m", "DAU": 1, "PlaySuccessVv": 2, "PlayDuration": 3}
    titles = ('"', "\x85")
    content = json.dumps(
        {"QoeInfoList": [row, *({**row, "VideoTitle": title} for title in titles)]}, ensure_ascii=False
    )
    assert [each.title for each in decode(content.encode()).rows] == [None, '"', " "]
    assert [each.title for each in decode(content.replace("\x85", "").encode()).rows] == [None, '"', ""]
    alone = json.dumps({"QoeInfoList": [{**row, "VideoTitle": "\x85"}]}, ensure_ascii=False)
    assert [each.title for each in decode(alone.encode()).rows] == [" "]
    assert len(decode(body({"MediaId": "a"}, {"MediaId": "b"}), page_size=2).rows) == 2


def test_the_longest_media_id() -> None:
    assert decode(body({"MediaId": "x" * 128})).rows == (PlayRow("x" * 128),)


def test_one_media() -> None:
    assert decode(body({"MediaId": "m"}), page=1, media_id="m").rows == (PlayRow("m"),)
    assert len(decode(body({"MediaId": "m"}, {"MediaId": "m", "DAU": 1}), page=1, media_id="m").rows) == 2
    assert decode(body(), page=1, media_id="m").rows == ()
    assert "a MediaId other than" in refused(body({"MediaId": "n"}), media_id="m").message
    assert "no row" in refused(body(TotalCount=1), media_id="m").message


@pytest.mark.parametrize("request_id", [None, 5, [], {}])
def test_request_id_that_is_none(request_id: object) -> None:
    assert decode(body(RequestId=request_id)).request_id == ""


@given(st.binary())
def test_any_bytes_are_a_page_or_malformed(content: bytes) -> None:
    _page_or_malformed(content)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
NAMES = [*NUMBERS, "MediaId", "VideoTitle"]
ANY_ROW = st.dictionaries(st.sampled_from(NAMES), ANYTHING) | ANYTHING
ANY_BODY = st.fixed_dictionaries(
    {},
    optional={
        "RequestId": ANYTHING,
        "TotalCount": ANYTHING | st.integers(0, 5),
        "PageNo": ANYTHING | st.just(1),
        "QoeInfoList": st.lists(ANY_ROW, max_size=4) | ANYTHING,
    },
)


@given(ANY_BODY | ANYTHING, st.booleans(), st.binary(max_size=3), st.integers(0, 200))
def test_any_json_is_a_page_or_malformed(content: object, ascii_only: bool, noise: bytes, at: int) -> None:  # noqa: FBT001 - drawn
    clean = json.dumps(content, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    _page_or_malformed(clean)
    _page_or_malformed(clean[:at] + noise + clean[at:])


def _page_or_malformed(content: bytes) -> None:
    try:
        page = decode(content, page=1)
    except UpstreamError as error:
        if (error.code, error.kind) != ("malformed", ErrorKind.MALFORMED):
            raise
        return
    assert isinstance(page, Page)
    for row in page.rows:
        (row.media_id + (row.title or "")).encode()


NUMBER = st.none() | st.integers(0, 2**53) | st.floats(0, 2**53)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=128)
ROWS = st.lists(
    st.builds(PlayRow, TEXT.filter(lambda text: text and "\ufffd" not in text), st.none() | TEXT, *[NUMBER] * 6),
    max_size=5,
)


@given(ROWS, st.none() | st.integers(0, 10**9), st.booleans(), st.booleans())
def test_round_trip(rows: list[PlayRow], total: int | None, as_text: bool, omit: bool) -> None:  # noqa: FBT001 - drawn
    """Any rows are decoded unchanged: numbers as numbers or text, None as null or absent."""
    sent = [_wire(row, as_text=as_text, omit=omit) for row in rows]
    page = decode(body(*sent, TotalCount=total), page=1)
    assert (page.rows, page.total_count, page.request_id) == (tuple(rows), total, "R")


def _wire(row: PlayRow, *, as_text: bool, omit: bool) -> dict[str, Any]:
    numbers = {wire: getattr(row, ours) for wire, ours in NUMBERS.items()}
    encoded_row = {
        wire: json.dumps(value) if as_text and value is not None else value for wire, value in numbers.items()
    }
    fields = {"MediaId": row.media_id, "VideoTitle": row.title, **encoded_row}
    return {name: value for name, value in fields.items() if not (omit and value is None)}


class Recorder:
    """A client that records requests and returns the example."""

    def __init__(self) -> None:
        self.requested: list[tuple[str, str, dict[str, str]]] = []
        self.max_in_flight = 4

    async def call(self, action: Action[T], parameters: Mapping[str, str]) -> T:
        self.requested.append((action.name, action.version, dict(parameters)))
        return action.decode(EXAMPLE, parameters)


async def test_page_is_requested_and_decoded() -> None:
    client = Recorder()
    page = await PlayDataSource(client).page(DAY, page=1, page_size=100)
    assert page == decode(EXAMPLE)
    assert client.requested == [
        ("DescribeVodMediaPlayData", "2017-03-21", {"PlayDate": "20240322", "PageNo": "1", "PageSize": "100"})
    ]


async def test_media_and_order_are_parameters() -> None:
    client = Recorder()
    media_id = decode(EXAMPLE).rows[0].media_id

    await PlayDataSource(client).page(DAY, page=1, page_size=9, media_id=media_id, order_by=Measure.PLAY_DURATION)

    ((_, _, requested),) = client.requested
    assert requested == {
        "PlayDate": "20240322",
        "PageNo": "1",
        "PageSize": "9",
        "MediaId": media_id,
        "OrderName": "PlayDuration",
        "OrderType": "DESC",
    }


async def test_page_must_match_the_request() -> None:
    with pytest.raises(UpstreamError, match="2 rows, but 1 were requested"):
        PLAY_DATA.decode(
            body({"MediaId": "a"}, {"MediaId": "b"}), {"PageNo": "1", "PageSize": "1", "PlayDate": "20240322"}
        )
    source = PlayDataSource(Recorder())
    with pytest.raises(UpstreamError, match="PageNo is 1, but 2 was requested"):
        await source.page(DAY, page=2, page_size=100)
    with pytest.raises(UpstreamError, match="a MediaId other than"):
        await source.page(DAY, page=1, page_size=100, media_id="other")


@pytest.mark.parametrize("rows", [[], [{"MediaId": "m"}]], ids=["no rows", "rows"])
@pytest.mark.parametrize(
    ("echo", "good"),
    [
        ("20240323", True),
        ("2024-03-23", True),
        (20240323, True),
        ("2024-03-22T16:00:00Z", True),
        (None, True),
        ("", True),
        ("yesterday", True),
        ("20240322", False),
        ("2024-03-22", False),
        (20240322, False),
    ],
)
def test_a_date_in_the_response_must_be_the_requested_one(
    rows: list[dict[str, object]],
    echo: object,
    good: bool,  # noqa: FBT001 - a case, not a switch
) -> None:
    """The API documents none; a service that has no data of a day yet may return the day before."""
    content, parameters = body(*rows, PlayDate=echo), {"PageNo": "1", "PageSize": "100", "PlayDate": "20240323"}
    if good:
        assert len(PLAY_DATA.decode(content, parameters).rows) == len(rows)
    else:
        with pytest.raises(UpstreamError, match="PlayDate is 20240322, but 20240323 was requested"):
            PLAY_DATA.decode(content, parameters)


@pytest.mark.parametrize("terminal_type", [None, *TERMINAL_TYPES])
@pytest.mark.parametrize("os", [None, *OPERATING_SYSTEMS])
@pytest.mark.parametrize("region", [None, *REGIONS])
def test_filters(terminal_type: str | None, os: str | None, region: str | None) -> None:
    slice_ = Slice("main", Dimensions(terminal_type, os, region), date(2024, 1, 5))
    wanted = {"TerminalType": terminal_type, "Os": os, "Region": region}
    assert parameters(slice_, page=3, page_size=50) == {
        "PlayDate": "20240105",
        "PageNo": "3",
        "PageSize": "50",
        **{name: value for name, value in wanted.items() if value},
    }


@pytest.mark.parametrize(
    ("measure", "name"),
    [
        (Measure.PLAYS, "PlaySuccessVv"),
        (Measure.PLAYS_PER_VIEWER, "PlayPerVv"),
        (Measure.PLAY_DURATION, "PlayDuration"),
        (Measure.PLAY_DURATION_PER_VIEWER, "PlayDurationPerUv"),
    ],
)
def test_order(measure: Measure, name: str) -> None:
    requested = parameters(DAY, page=1, page_size=100, order_by=measure)
    assert (requested["OrderName"], requested["OrderType"]) == (name, "DESC")


def test_media() -> None:
    assert parameters(DAY, page=1, page_size=1, media_id="m")["MediaId"] == "m"
