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
from exporter.simulator.access_keys import Credentials
from exporter.simulator.calendar import start_of_day
from exporter.simulator.dataset import Dataset
from exporter.simulator.generated_media import EXAMPLE_MEDIA_ID
from exporter.simulator.request_parsing import NAMES
from tests.simulator.clients import (
    HOST,
    NOON,
    PAGE,
    TODAY,
    Clock,
    asking,
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
    """Status and code of the answer to a request no client library would send."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return event or {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": query, "headers": headers}
    await service.app(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"]).get("Code")


def _row(said: dict[str, Any]) -> PlayRow:
    return PlayRow(
        media_id=said["MediaId"],
        title=said["VideoTitle"],
        media_duration=said["VideoDuration"],
        viewers=said["DAU"],
        plays=said["PlaySuccessVv"],
        plays_per_viewer=said["PlayPerVv"],
        play_duration=said["PlayDuration"],
        play_duration_per_viewer=said["PlayDurationPerUv"],
    )


async def test_an_answer_is_what_the_catalogue_says_in_the_documented_form(clock: Clock) -> None:
    service = simulator(clock)
    async with asking(service, clock) as client:
        response = await client.ask()
    said = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json;charset=utf-8"
    assert set(said) == {"RequestId", "TotalCount", "PageNo", "PageSize", "QoeInfoList"}
    assert response.headers["x-acs-request-id"] == said["RequestId"]
    assert parsedate_to_datetime(response.headers["date"]).timestamp() == NOON
    oracle = [row for id_ in service.catalogue.media_ids if (row := service.catalogue.row(id_, DAY, now=NOON))]
    assert [_row(row) for row in said["QoeInfoList"]] == oracle
    assert said["TotalCount"] == len(oracle)
    assert "阿里云".encode() in response.content


async def test_one_media_by_every_filter(clock: Clock) -> None:
    service = simulator(clock)
    filters = {"MediaId": EXAMPLE_MEDIA_ID, "TerminalType": "Native", "Os": "Android", "Region": "cn-shanghai"}
    async with asking(service, clock) as client:
        said = (await client.ask({**PAGE, **filters})).json()
    what = Dimensions("Native", "Android", "cn-shanghai")
    assert [_row(row) for row in said["QoeInfoList"]] == [service.catalogue.row(EXAMPLE_MEDIA_ID, DAY, what, now=NOON)]


@pytest.mark.parametrize(
    "parameters",
    [
        {**PAGE, "MediaId": "0" * 32},
        {**PAGE, "TerminalType": "Native", "Os": "Linux"},
    ],
)
async def test_nothing_found_is_an_empty_page(clock: Clock, parameters: dict[str, str]) -> None:
    async with asking(simulator(clock), clock) as client:
        said = (await client.ask(parameters)).json()
    assert (said["TotalCount"], said["QoeInfoList"]) == (0, [])


async def test_a_page_after_the_last_is_empty_and_still_tells_the_total(clock: Clock) -> None:
    async with asking(simulator(clock), clock) as client:
        said = (await client.ask({**PAGE, "PageNo": "99999"})).json()
    assert said["TotalCount"] > 0
    assert said["QoeInfoList"] == []


@pytest.mark.parametrize("order", [{}, {"OrderName": "PlayDuration", "OrderType": "DESC"}])
@pytest.mark.parametrize("size", [1, 7, 100])
async def test_pages_partition_the_result_set(clock: Clock, size: int, order: dict[str, str]) -> None:
    async with asking(simulator(clock, media=250), clock) as client:
        first = (await client.ask({**PAGE, **order, "PageSize": str(size)})).json()
        last = -(-first["TotalCount"] // size)
        seen = []
        for page in range(1, last + 1):
            said = (await client.ask({**PAGE, **order, "PageSize": str(size), "PageNo": str(page)})).json()
            assert (said["PageNo"], said["PageSize"], said["TotalCount"]) == (page, size, first["TotalCount"])
            seen += [row["MediaId"] for row in said["QoeInfoList"]]
    assert len(seen) == len(set(seen)) == first["TotalCount"]


@pytest.mark.parametrize("name", ["PlaySuccessVv", "PlayPerVv", "PlayDuration", "PlayDurationPerUv"])
@pytest.mark.parametrize("type_", ["ASC", "DESC"])
async def test_rows_come_in_the_order_asked_for(clock: Clock, name: str, type_: str) -> None:
    async with asking(simulator(clock), clock) as client:
        said = (await client.ask({**PAGE, "OrderName": name, "OrderType": type_})).json()
    values = [row[name] for row in said["QoeInfoList"]]
    assert values == sorted(values, reverse=type_ == "DESC")
    assert len(values) > 10


async def test_without_a_date_the_answer_is_about_yesterday(clock: Clock) -> None:
    async with asking(simulator(clock), clock) as client:
        default = (await client.ask({"PageNo": "1", "PageSize": "100"})).json()
        yesterday = (await client.ask({**PAGE, "PlayDate": "20260317"})).json()
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
    async with asking(simulator(clock), clock) as client:
        response = await client.ask(parameters)
    said = response.json()
    assert (response.status_code, said["Code"]) == (400, "Meter.ParamError")
    assert said["Message"].startswith("Param Error:")
    assert said["Message"].endswith(",Please Check Again.")
    assert about in said["Message"]


@pytest.mark.parametrize("play_date", ["20260318", "20260216"])
async def test_today_and_thirty_days_ago_are_answered(clock: Clock, play_date: str) -> None:
    async with asking(simulator(clock), clock) as client:
        assert (await client.ask({**PAGE, "PlayDate": play_date})).status_code == 200


async def test_the_day_changes_at_midnight_of_utc_8(clock: Clock) -> None:
    tomorrow = {**PAGE, "PlayDate": "20260319"}
    async with asking(simulator(clock), clock) as client:
        clock.now = start_of_day(TODAY + timedelta(days=1)) - 1
        assert (await client.ask(tomorrow)).status_code == 400
        clock.now += 1
        assert (await client.ask(tomorrow)).json()["QoeInfoList"] == []


async def test_get_and_form_parameters_are_as_good(clock: Clock) -> None:
    form = {"extra": {"content-type": "application/x-www-form-urlencoded"}, "body": b"PageNo=1&PlayDate=20260316"}
    async with asking(simulator(clock), clock) as client:
        post = (await client.ask()).json()["QoeInfoList"]
        assert (await client.ask(method="GET")).json()["QoeInfoList"] == post
        assert (await client.ask({"PageSize": "100"}, **form)).json()["QoeInfoList"] == post


async def test_action_and_version_may_stand_in_the_query(clock: Clock) -> None:
    query = {**PAGE, "Action": "DescribeVodMediaPlayData", "Version": "2017-03-21"}
    async with asking(simulator(clock), clock) as client:
        assert (await client.ask(query, extra={"x-acs-action": "", "x-acs-version": ""})).status_code == 200


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
    async with asking(simulator(clock), clock) as client:
        response = await client.ask(extra=extra)
    assert (response.status_code, response.json()["Code"]) == (status, code)


async def test_a_refusal_has_the_gateways_form(clock: Clock) -> None:
    async with asking(simulator(clock), clock) as client:
        response = await client.ask(credentials=Credentials("nobody", "x"))
    said = response.json()
    assert response.status_code == 404
    assert set(said) == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert (said["Code"], said["HostId"]) == ("InvalidAccessKeyId.NotFound", HOST)
    assert said["RequestId"] == response.headers["x-acs-request-id"]
    assert "date" in response.headers


async def test_a_wrong_clock_shows_in_the_date_header(clock: Clock) -> None:
    async with asking(simulator(clock, clock_offset=3600.0), clock) as client:
        response = await client.ask()
    assert response.json()["Code"] == "InvalidTimeStamp.Expired"
    assert parsedate_to_datetime(response.headers["date"]).timestamp() == NOON + 3600


async def test_above_its_rate_the_service_throttles_and_names_the_wait(clock: Clock) -> None:
    async with asking(simulator(clock, rate=2.0), clock) as client:
        assert [(await client.ask()).status_code for _ in range(3)] == [200, 200, 400]
        clock.now += 0.3
        throttled = await client.ask()
        assert throttled.json()["Code"] == "Throttling.User"
        assert throttled.headers["x-acs-retry-after"] == "200"
        clock.now += 0.2
        assert (await client.ask()).status_code == 200


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
    async with asking(simulator(clock), clock) as client:
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


async def test_a_body_too_large_is_refused(clock: Clock) -> None:
    async with asking(simulator(clock), clock) as client:
        response = await client.ask(body=b"x" * 70_000)
    assert (response.status_code, response.json()["Code"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ((b"x-acs-\xff", b"\xfe"), "IncompleteSignature"),
        ((b"x-acs-date", b"\xfe"), "InvalidTimeStamp.Format"),
        ((b"content-type", b"\xff"), None),
    ],
)
async def test_a_header_that_is_no_text_gets_a_clean_answer(
    clock: Clock, header: tuple[bytes, bytes], code: str | None
) -> None:
    headers = [(name.encode(), value.encode()) for name, value in signed(PAGE).items()]
    query = urlencode(PAGE).encode()
    assert await _raw(simulator(clock), query, [*headers, header]) == (400 if code else 200, code)


async def test_a_client_that_leaves_before_its_body_is_no_error(clock: Clock) -> None:
    service = simulator(clock)
    with pytest.raises(json.JSONDecodeError):
        await _raw(service, b"", [], {"type": "http.disconnect"})
    assert service.request_log.counts == {"other": {"disconnect": 1}}


async def test_every_call_is_counted_and_its_parameters_kept_without_secrets(clock: Clock) -> None:
    service = simulator(clock, credentials=Credentials("key", "hush-secret", "hush-token"))
    query = {**PAGE, "SecurityToken": "hush-token"}
    async with asking(service, clock) as client:
        await client.ask(query, credentials=Credentials("key", "hush-secret", "hush-token"))
        await client.ask({"PageNo": "1"}, credentials=Credentials("key", "hush-secret", "hush-token"))
        await client.ask(extra={"x-acs-action": "Made.Up"})
    assert service.request_log.counts == {
        "DescribeVodMediaPlayData": {"OK": 1, "Meter.ParamError": 1},
        "other": {"InvalidAction.NotFound": 1},
    }
    assert [dict(call.parameters) for call in service.request_log.calls] == [PAGE, {"PageNo": "1"}, PAGE]
    assert "hush" not in repr(service.request_log.calls)


async def test_the_same_seed_answers_the_same_and_another_seed_does_not(clock: Clock) -> None:
    answers = []
    for seed in (1, 1, 2):
        async with asking(simulator(clock, seed=seed), clock) as client:
            answers.append((await client.ask()).content)
    assert answers[0] == answers[1] != answers[2]


async def test_latency_is_slept_before_every_answer(clock: Clock) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    service = simulator(clock)
    sleepy = type(service)(sleep=sleep, clock=clock)
    sleepy.change(latency=0.03)
    async with asking(sleepy, clock) as client:
        await client.ask()
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
async def test_whatever_is_asked_the_answer_is_a_page_or_a_param_error(parameters: dict[str, str]) -> None:
    clock = Clock()
    async with asking(simulator(clock), clock) as client:
        response = await client.ask(parameters)
    said = json.loads(response.content)
    assert response.status_code == 200 or (response.status_code, said["Code"]) == (400, "Meter.ParamError")


def test_the_oracle_of_a_simulator_is_a_catalogue_of_the_same_settings(clock: Clock) -> None:
    service = simulator(clock, seed=5, media=12, collapse_on=DAY)
    alike = Dataset(5, 12, DAY)
    assert [service.catalogue.row(id_, DAY, now=NOON) for id_ in alike.media_ids] == [
        alike.row(id_, DAY, now=NOON) for id_ in alike.media_ids
    ]
