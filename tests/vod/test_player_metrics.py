"""DescribeVodPlayerMetricData: requests as the SDK sends them, and answers in every form."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.player_buckets import TimeRange
from exporter.core.player_fields import BY_NAME
from exporter.core.player_query import PlayerTarget
from exporter.errors import ErrorKind, UpstreamError
from exporter.vod.player_metrics import PLAYER_METRICS, PlayerRows, decode, parameters

START = 1_795_651_200  # 2026-11-26T00:00:00Z
FIELDS = tuple(BY_NAME[name] for name in ("plays", "play_failure_ratio", "first_frame_seconds"))
REQUESTED = parameters(PlayerTarget("main", "app-1000000", "web"), FIELDS, TimeRange(START, START + 600), "5m")
ROW = {"TimeStamp": "2026-11-26T00:00:00Z", "Vv": 800.0, "PlayFailRate": 0.0025, "FirstFrame": 812}


def answer(*rows: dict[str, Any], **changed: Any) -> PlayerRows:
    return decode(json.dumps({"RequestId": "R", "DataList": rows, **changed}).encode(), REQUESTED)


def test_the_request() -> None:
    requested = parameters(PlayerTarget("main", "app-1000000", "web"), FIELDS, TimeRange(START, START + 600), "5m")
    assert requested == {
        "AppId": "app-1000000",
        "StartTime": "2026-11-26T00:00:00Z",
        "EndTime": "2026-11-26T00:10:00Z",
        "Interval": "5m",
        "TerminalType": "web",
        "Metrics": "Vv,PlayFailRate,FirstFrame",
        "Language": "en",
        "PageNumber": "1",
        "PageSize": "5000",
    }
    target = PlayerTarget("main", "app-1000000", "mobile", "iOS")
    assert parameters(target, FIELDS, TimeRange(START, START + 600), "5m")["Os"] == "iOS"
    assert PLAYER_METRICS.ram_action == "vod:DescribeVodPlayerMetricData"


def test_values_have_the_units_of_the_metrics() -> None:
    assert answer(ROW).rows == {START: (800.0, 0.0025, 0.812)}


@pytest.mark.parametrize("dimension", [{}, {"Dimension": ""}, {"Dimension": None}, {"Dimension": "ALL"}])
@pytest.mark.parametrize("as_text", [False, True])
def test_one_dimension_of_any_name_is_the_whole(dimension: dict[str, Any], *, as_text: bool) -> None:
    row = {name: str(value) for name, value in ROW.items()} if as_text else ROW
    assert answer({**row, **dimension}, {**row, **dimension, "TimeStamp": "2026-11-26T00:05:00Z"}).rows == {
        START: (800.0, 0.0025, 0.812),
        START + 300: (800.0, 0.0025, 0.812),
    }


@pytest.mark.parametrize(
    ("row", "values", "problems"),
    [
        ({"Vv": None, "FirstFrame": None}, (None, 0.0025, None), {}),
        ({"PlayFailRate": 25}, (800.0, None, 0.812), {"PlayFailRate": 1}),
        ({"Vv": -1, "PlayFailRate": "NaN"}, (None, None, 0.812), {"Vv": 1, "PlayFailRate": 1}),
        ({"RealVv": 5, "Uv": "x"}, (800.0, 0.0025, 0.812), {}),
        ({"Vv": [1]}, (None, 0.0025, 0.812), {"Vv": 1}),
        ({"Vv": 0, "PlayFailRate": 0, "FirstFrame": 0}, (0, 0, 0), {}),
    ],
)
def test_an_unusable_value_is_absent_and_the_others_stay(
    row: dict[str, Any], values: tuple[float | None, ...], problems: dict[str, int]
) -> None:
    found = answer({**ROW, **row})
    assert found.rows == {START: values}
    assert found.problems == problems


def test_two_rows_of_a_bucket_count_only_if_they_are_equal() -> None:
    assert answer(ROW, ROW).rows == {START: (800.0, 0.0025, 0.812)}
    other = {**ROW, "TimeStamp": "2026-11-26T00:05:00Z"}
    found = answer(ROW, {**ROW, "Vv": 801}, other)
    assert set(found.rows) == {START + 300}
    assert found.problems == {"TimeStamp": 1}


def test_rows_without_a_time_and_those_that_contradict_each_other_are_counted() -> None:
    other = {**ROW, "TimeStamp": "2026-11-26T00:05:00Z", "PlayFailRate": 1}
    found = answer({"Vv": 1}, ROW, {**ROW, "Vv": 801}, {"TimeStamp": "soon"}, other)
    assert found.rows == {START + 300: (800.0, 1, 0.812)}
    assert found.problems == {"TimeStamp": 3}
    assert answer({**ROW, "PlayFailRate": 1.5}).problems == {"PlayFailRate": 1}


def test_a_code_beside_rows_is_an_error_and_one_within_a_row_is_none() -> None:
    with pytest.raises(UpstreamError, match="an error beside rows: no") as caught:
        answer({**ROW, "Code": "x"}, Code="Failed", Message="no")
    assert caught.value.code == "malformed"
    assert answer({**ROW, "errorCode": "Failed"}).rows == {START: (800.0, 0.0025, 0.812)}


def test_where_the_data_ends() -> None:
    assert answer(ROW, Extend={"ActualEndTime": "2026-11-26T00:05:00Z"}).data_until == START + 300
    empty: tuple[Any, ...] = ({}, None, [], "x", {"ActualEndTime": None}, {"ActualEndTime": "soon"})
    for nothing in empty:
        assert answer(ROW, Extend=nothing).data_until is None


@pytest.mark.parametrize("written", ["2026-11-26T00:00:00Z", "2026-11-26T08:00:00+08:00", "2026-11-26T00:00:00"])
def test_times_are_utc_unless_they_have_an_offset(written: str) -> None:
    assert set(answer({**ROW, "TimeStamp": written}).rows) == {START}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "neither DataList nor Extend"),
        ({"DataList": [{"Vv": 1}]}, "no row of DataList has a TimeStamp"),
        ({"DataList": [ROW], "Extend": {"IntervalSeconds": 3600}}, "these are other buckets"),
        ({"DataList": [ROW], "Extend": {"IntervalSeconds": "3600"}}, "these are other buckets"),
        ({"DataList": [{**ROW, "Dimension": "H264"}, {**ROW, "Dimension": "H265"}]}, "2 dimensions"),
        ({"DataList": [ROW] * 5_000}, "more than the range has buckets"),
        ({"DataList": [], "Message": "no", "Code": "Failed"}, "the response contains an error"),
        ({"DataList": "x"}, "not JSON, or not a response"),
        ([1], "not JSON, or not a response"),
    ],
)
def test_an_answer_that_cannot_be_believed_is_rejected(body: Any, message: str) -> None:
    with pytest.raises(UpstreamError, match=message) as caught:
        decode(json.dumps(body).encode(), REQUESTED)
    assert caught.value.kind is ErrorKind.MALFORMED


def test_no_rows_beside_text_that_is_not_utf8_are_an_error() -> None:
    with pytest.raises(UpstreamError, match="and other content that cannot be read"):
        decode(b'{"DataList":[],"Text":"\xff"}', REQUESTED)


UNREADABLE = {
    "a number of 5,000 digits": '"Code":' + "1" * 5_000,
    "too much to be searched for an error": '"Code":"Throttling","Text":"' + "x" * 70_000 + '"',
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("rows", ["", json.dumps(ROW)])
def test_content_that_may_hold_an_error_makes_no_bucket_empty(rows: str, content: str) -> None:
    """The message is the exporter's own, not that of a library."""
    with pytest.raises(UpstreamError, match=r"^the response has (no rows,? and|content beside its rows)") as caught:
        decode(f'{{"DataList":[{rows}],{content}}}'.encode(), REQUESTED)
    assert "digits" not in caught.value.message


@pytest.mark.parametrize("rows", ["", json.dumps(ROW)])
def test_nesting_at_the_limit_of_the_interpreter_is_no_defect(rows: str) -> None:
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
        with contextlib.suppress(UpstreamError):
            decode(f'{{"DataList":[{rows}],"Extend":{{}},"Other":{"[" * depth}{"]" * depth}}}'.encode(), REQUESTED)


def test_no_rows_are_no_error() -> None:
    assert answer().rows == {}


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    row=st.dictionaries(st.sampled_from(["TimeStamp", "Dimension", "Vv", "PlayFailRate", "FirstFrame"]), anything),
    extend=anything,
)
def test_no_answer_is_a_defect(row: dict[str, Any], extend: object) -> None:
    try:
        found = answer({**ROW, **row}, Extend=extend)
    except UpstreamError:
        return
    for values in found.rows.values():
        assert all(value is None or 0 <= value <= 2**53 for value in values)
        assert values[1] is None or values[1] <= 1
