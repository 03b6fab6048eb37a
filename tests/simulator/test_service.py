from __future__ import annotations

import json
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.model import Dimensions, PlayRow
from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.calendar import start_of_day
from exporter.simulator.dataset import Dataset
from exporter.simulator.generated_media import EXAMPLE_MEDIA_ID
from exporter.simulator.incidents import collapse
from exporter.simulator.request_parsing import NAMES
from tests.simulator.clients import (
    HOST,
    NOON,
    PAGE,
    TODAY,
    Clock,
    client_of,
    signed,
    simulator,
)

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from exporter.simulator.service import Simulator

DAY = TODAY - timedelta(days=2)


async def _raw(
    service: Simulator, query: bytes, headers: list[tuple[bytes, bytes]], event: dict[str, Any] | None = None
) -> tuple[int, str | None]:
    """Status and error code of the response to a request that no client library would send."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return event or {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": query, "headers": headers}
    await service.app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"]).get("Code")


def _row(document: dict[str, Any]) -> PlayRow:
    return PlayRow(
        media_id=document["MediaId"],
        title=document["VideoTitle"],
        media_duration=document["VideoDuration"],
        viewers=document["DAU"],
        plays=document["PlaySuccessVv"],
        plays_per_viewer=document["PlayPerVv"],
        play_duration=document["PlayDuration"],
        play_duration_per_viewer=document["PlayDurationPerUv"],
    )


async def test_a_page_has_the_rows_of_the_dataset_in_the_documented_form(clock: Clock) -> None:
    service = simulator(clock)
    async with client_of(service, clock) as client:
        response = await client.request()
    document = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json;charset=utf-8"
    assert set(document) == {"RequestId", "TotalCount", "PageNo", "PageSize", "QoeInfoList"}
    assert response.headers["x-acs-request-id"] == document["RequestId"]
    assert parsedate_to_datetime(response.headers["date"]).timestamp() == NOON
    oracle = [row for id_ in service.dataset.media_ids if (row := service.dataset.row(id_, DAY, now=NOON))]
    assert [_row(row) for row in document["QoeInfoList"]] == oracle
    assert document["TotalCount"] == len(oracle)
    assert "阿里云".encode() in response.content


async def test_one_media_by_every_filter(clock: Clock) -> None:
    service = simulator(clock)
    filters = {"MediaId": EXAMPLE_MEDIA_ID, "TerminalType": "Native", "Os": "Android", "Region": "cn-shanghai"}
    async with client_of(service, clock) as client:
        document = (await client.request({**PAGE, **filters})).json()
    what = Dimensions("Native", "Android", "cn-shanghai")
    assert [_row(row) for row in document["QoeInfoList"]] == [
        service.dataset.row(EXAMPLE_MEDIA_ID, DAY, what, now=NOON)
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {**PAGE, "MediaId": "0" * 32},
        {**PAGE, "TerminalType": "Native", "Os": "Linux"},
    ],
)
async def test_a_slice_without_plays_is_an_empty_page(clock: Clock, parameters: dict[str, str]) -> None:
    async with client_of(simulator(clock), clock) as client:
        document = (await client.request(parameters)).json()
    assert (document["TotalCount"], document["QoeInfoList"]) == (0, [])


async def test_a_page_after_the_last_is_empty_but_has_the_total(clock: Clock) -> None:
    async with client_of(simulator(clock), clock) as client:
        document = (await client.request({**PAGE, "PageNo": "99999"})).json()
    assert document["TotalCount"] > 0
    assert document["QoeInfoList"] == []


@pytest.mark.parametrize("order", [{}, {"OrderName": "PlayDuration", "OrderType": "DESC"}])
@pytest.mark.parametrize("size", [1, 7, 100])
async def test_pages_partition_the_result_set(clock: Clock, size: int, order: dict[str, str]) -> None:
    async with client_of(simulator(clock, media=250), clock) as client:
        first = (await client.request({**PAGE, **order, "PageSize": str(size)})).json()
        last = -(-first["TotalCount"] // size)
        seen = []
        for page in range(1, last + 1):
            document = (await client.request({**PAGE, **order, "PageSize": str(size), "PageNo": str(page)})).json()
            assert (document["PageNo"], document["PageSize"], document["TotalCount"]) == (
                page,
                size,
                first["TotalCount"],
            )
            seen += [row["MediaId"] for row in document["QoeInfoList"]]
    assert len(seen) == len(set(seen)) == first["TotalCount"]


@pytest.mark.parametrize("name", ["PlaySuccessVv", "PlayPerVv", "PlayDuration", "PlayDurationPerUv"])
@pytest.mark.parametrize("type_", ["ASC", "DESC"])
async def test_rows_are_in_the_requested_order(clock: Clock, name: str, type_: str) -> None:
    async with client_of(simulator(clock), clock) as client:
        document = (await client.request({**PAGE, "OrderName": name, "OrderType": type_})).json()
    values = [row[name] for row in document["QoeInfoList"]]
    assert values == sorted(values, reverse=type_ == "DESC")
    assert len(values) > 10


async def test_the_default_play_date_is_yesterday(clock: Clock) -> None:
    async with client_of(simulator(clock), clock) as client:
        default = (await client.request({"PageNo": "1", "PageSize": "100"})).json()
        yesterday = (await client.request({**PAGE, "PlayDate": "20260317"})).json()
    assert default["QoeInfoList"] == yesterday["QoeInfoList"]


@pytest.mark.parametrize(
    ("parameters", "about"),
    [
        ({"PageSize": "10"}, "PageNo"),
        ({"PageNo": "1"}, "PageSize"),
        ({**PAGE, "PageNo": "0"}, "PageNo"),
        ({**PAGE, "PageNo": "1.0"}, "PageNo"),
        ({**PAGE, "PageNo": "٣"}, "PageNo"),
        ({**PAGE, "PageSize": "101"}, "PageSize"),
        ({**PAGE, "PageSize": "-1"}, "PageSize"),
        ({**PAGE, "PlayDate": "2026-03-16"}, "PlayDate"),
        ({**PAGE, "PlayDate": "20260230"}, "PlayDate"),
        ({**PAGE, "PlayDate": "20260319"}, "PlayDate"),
        ({**PAGE, "PlayDate": "20260215"}, "PlayDate"),
        ({**PAGE, "TerminalType": "native"}, "TerminalType"),
        ({**PAGE, "Os": "android"}, "Os"),
        ({**PAGE, "Region": "cn-hangzhou"}, "Region"),
        ({**PAGE, "OrderName": "DAU", "OrderType": "ASC"}, "OrderName"),
        ({**PAGE, "OrderName": "PlayDuration"}, "OrderType"),
        ({**PAGE, "OrderType": "ASC"}, "OrderName"),
        ({**PAGE, "OrderName": "PlayDuration", "OrderType": "desc"}, "OrderType"),
    ],
)
async def test_a_wrong_parameter_is_a_param_error(clock: Clock, parameters: dict[str, str], about: str) -> None:
    async with client_of(simulator(clock), clock) as client:
        response = await client.request(parameters)
    document = response.json()
    assert (response.status_code, document["Code"]) == (400, "Meter.ParamError")
    assert document["Message"].startswith("Param Error:")
    assert document["Message"].endswith(",Please Check Again.")
    assert about in document["Message"]


@pytest.mark.parametrize("play_date", ["20260318", "20260216"])
async def test_today_and_thirty_days_ago_are_answered(clock: Clock, play_date: str) -> None:
    async with client_of(simulator(clock), clock) as client:
        assert (await client.request({**PAGE, "PlayDate": play_date})).status_code == 200


async def test_the_day_changes_at_midnight_of_utc_8(clock: Clock) -> None:
    tomorrow = {**PAGE, "PlayDate": "20260319"}
    async with client_of(simulator(clock), clock) as client:
        clock.now = start_of_day(TODAY + timedelta(days=1)) - 1
        assert (await client.request(tomorrow)).status_code == 400
        clock.now += 1
        assert (await client.request(tomorrow)).json()["QoeInfoList"] == []


async def test_get_and_form_parameters_are_as_good(clock: Clock) -> None:
    form = {"extra": {"content-type": "application/x-www-form-urlencoded"}, "body": b"PageNo=1&PlayDate=20260316"}
    async with client_of(simulator(clock), clock) as client:
        post = (await client.request()).json()["QoeInfoList"]
        assert (await client.request(method="GET")).json()["QoeInfoList"] == post
        assert (await client.request({"PageSize": "100"}, **form)).json()["QoeInfoList"] == post


async def test_action_and_version_may_stand_in_the_query(clock: Clock) -> None:
    query = {**PAGE, "Action": "DescribeVodMediaPlayData", "Version": "2017-03-21"}
    async with client_of(simulator(clock), clock) as client:
        assert (await client.request(query, extra={"x-acs-action": "", "x-acs-version": ""})).status_code == 200


@pytest.mark.parametrize(
    ("extra", "status", "code"),
    [
        ({"x-acs-action": "DescribePlayList"}, 404, "InvalidAction.NotFound"),
        ({"x-acs-version": "2014-05-26"}, 404, "InvalidApi.NotFound"),
        ({"x-acs-action": ""}, 400, "MissingAction"),
        ({"x-acs-version": ""}, 400, "MissingVersion"),
    ],
)
async def test_another_action_is_not_found(clock: Clock, extra: dict[str, str], status: int, code: str) -> None:
    async with client_of(simulator(clock), clock) as client:
        response = await client.request(extra=extra)
    assert (response.status_code, response.json()["Code"]) == (status, code)


async def test_a_refusal_has_the_gateways_form(clock: Clock) -> None:
    async with client_of(simulator(clock), clock) as client:
        response = await client.request(credentials=AccessKeyPair("nobody", "x"))
    document = response.json()
    assert response.status_code == 404
    assert set(document) == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert (document["Code"], document["HostId"]) == ("InvalidAccessKeyId.NotFound", HOST)
    assert document["RequestId"] == response.headers["x-acs-request-id"]
    assert "date" in response.headers


async def test_a_wrong_clock_shows_in_the_date_header(clock: Clock) -> None:
    async with client_of(simulator(clock, clock_offset=3600.0), clock) as client:
        response = await client.request()
    assert response.json()["Code"] == "InvalidTimeStamp.Expired"
    assert parsedate_to_datetime(response.headers["date"]).timestamp() == NOON + 3600


async def test_above_its_rate_the_service_throttles_and_names_the_wait(clock: Clock) -> None:
    async with client_of(simulator(clock, rate=2.0), clock) as client:
        assert [(await client.request()).status_code for _ in range(3)] == [200, 200, 400]
        clock.now += 0.3
        throttled = await client.request()
        assert throttled.json()["Code"] == "Throttling.User"
        assert throttled.headers["x-acs-retry-after"] == "200"
        clock.now += 0.2
        assert (await client.request()).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/", 405),
        ("PUT", "/", 405),
        ("BREW", "/", 405),
        ("GET", "/elsewhere", 404),
        ("GET", "/_admin/calls", 404),
    ],
)
async def test_other_methods_and_paths_are_refused(clock: Clock, method: str, path: str, status: int) -> None:
    async with client_of(simulator(clock), clock) as client:
        response = await client.http.request(method, path)
    assert response.status_code == status
    assert response.headers.get("allow") == ("GET, POST" if status == 405 else None)
    assert "x-acs-request-id" in response.headers


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        (b"PageNo=%FF", 400, "InvalidParameter"),
        (b"PageNo=\xff", 400, "InvalidParameter"),
        (b"&".join([b"a=1"] * 101), 400, "InvalidParameter"),
        (b"PageNo=1&PageNo=2", 400, "InvalidParameter"),
        (b"a" * 2_000_000, 400, "MissingAuthorization"),
        (b"%00=%0A&=&&;", 400, "MissingAuthorization"),
    ],
)
async def test_a_hostile_query_gets_a_clean_error(clock: Clock, query: bytes, status: int, code: str) -> None:
    headers = [(b"x-acs-action", b"DescribeVodMediaPlayData"), (b"x-acs-version", b"2017-03-21")]
    assert await _raw(simulator(clock), query, headers) == (status, code)


async def test_a_body_too_large_is_rejected(clock: Clock) -> None:
    async with client_of(simulator(clock), clock) as client:
        response = await client.request(body=b"x" * 70_000)
    assert (response.status_code, response.json()["Code"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ((b"x-acs-\xff", b"\xfe"), "IncompleteSignature"),
        ((b"x-acs-date", b"\xfe"), "InvalidTimeStamp.Format"),
        ((b"content-type", b"\xff"), None),
    ],
)
async def test_a_header_that_is_not_text_gets_a_documented_response(
    clock: Clock, header: tuple[bytes, bytes], code: str | None
) -> None:
    headers = [(name.encode(), value.encode()) for name, value in signed(PAGE).items()]
    query = urlencode(PAGE).encode()
    assert await _raw(simulator(clock), query, [*headers, header]) == (400 if code else 200, code)


async def test_a_client_that_disconnects_before_its_body_is_no_error(clock: Clock) -> None:
    service = simulator(clock)
    with pytest.raises(json.JSONDecodeError):
        await _raw(service, b"", [], {"type": "http.disconnect"})
    assert service.request_log.counts == {"other": {"disconnect": 1}}


async def test_every_call_is_logged_with_its_parameters_and_no_secret(clock: Clock) -> None:
    service = simulator(clock, credentials=AccessKeyPair("key", "hush-secret", "hush-token"))
    query = {**PAGE, "SecurityToken": "hush-token"}
    async with client_of(service, clock) as client:
        await client.request(query, credentials=AccessKeyPair("key", "hush-secret", "hush-token"))
        await client.request({"PageNo": "1"}, credentials=AccessKeyPair("key", "hush-secret", "hush-token"))
        await client.request(extra={"x-acs-action": "Made.Up"})
    assert service.request_log.counts == {
        "DescribeVodMediaPlayData": {"OK": 1, "Meter.ParamError": 1},
        "other": {"InvalidAction.NotFound": 1},
    }
    assert [dict(call.parameters) for call in service.request_log.calls] == [PAGE, {"PageNo": "1"}, PAGE]
    assert "hush" not in repr(service.request_log.calls)


async def test_the_same_seed_gives_the_same_responses_and_another_seed_others(clock: Clock) -> None:
    answers = []
    for seed in (1, 1, 2):
        async with client_of(simulator(clock, seed=seed), clock) as client:
            answers.append((await client.request()).content)
    assert answers[0] == answers[1] != answers[2]


async def test_every_response_is_delayed_by_the_latency(clock: Clock) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    service = simulator(clock)
    sleepy = type(service)(sleep=sleep, clock=clock)
    sleepy.change(latency=0.03)
    async with client_of(sleepy, clock) as client:
        await client.request()
        await client.http.get("/")
    assert slept == [0.03, 0.03]


@given(
    st.dictionaries(
        st.sampled_from(NAMES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.sampled_from(["1", "100", "20260316", "Web", "iOS", "cn-beijing", "PlayDuration", "ASC", EXAMPLE_MEDIA_ID])
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    )
)
@settings(max_examples=150, deadline=None)
async def test_any_parameters_yield_a_page_or_a_param_error(parameters: dict[str, str]) -> None:
    clock = Clock()
    async with client_of(simulator(clock), clock) as client:
        response = await client.request(parameters)
    document = json.loads(response.content)
    assert response.status_code == 200 or (response.status_code, document["Code"]) == (400, "Meter.ParamError")


def test_a_dataset_of_the_same_options_has_the_rows_of_the_simulator(clock: Clock) -> None:
    incidents = (collapse(5, DAY),)
    service = simulator(clock, seed=5, media=12, incidents=incidents)
    alike = Dataset(5, 12, incidents)
    assert [service.dataset.row(id_, DAY, now=NOON) for id_ in alike.media_ids] == [
        alike.row(id_, DAY, now=NOON) for id_ in alike.media_ids
    ]
