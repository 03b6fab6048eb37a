from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from exporter.simulator.actions import ACTIONS
from exporter.simulator.error_responses import API_ERRORS
from exporter.simulator.faults import Fault, FaultPlan, parse_fault
from exporter.simulator.media_library import Video
from tests.simulator.account_requests import requested
from tests.simulator.clients import PAGE, Clock, client_of, simulator

if TYPE_CHECKING:
    import httpx

METER = {
    "Meter.ParamError": (400, "Param Error:on demand,Please Check Again."),
    "Meter.ServerInternalError": (500, "The Request Processing Has Failed Due To Some Unknown Error."),
    "Meter.DataSourceQueryError": (500, "Data Source Error:on demand,Please Try Again."),
    "Meter.AuthError": (403, "Authentication Failed,Please Try Again."),
    "Meter.ReadyTsError": (502, "Get ReadyTs Failed,Please Try Again."),
}


async def _response(clock: Clock, *faults: Fault, **conditions: Any) -> httpx.Response:
    async with client_of(simulator(clock, faults=faults, **conditions), clock) as client:
        return await client.request()


@pytest.mark.parametrize("code", METER)
async def test_the_documented_errors_have_their_documented_messages(clock: Clock, code: str) -> None:
    response = await _response(clock, Fault(code))
    assert (response.status_code, response.json()["Message"]) == METER[code]
    assert response.json()["Code"] == code


@pytest.mark.parametrize("code", sorted(API_ERRORS))
async def test_every_error_code_can_be_injected(clock: Clock, code: str) -> None:
    response = await _response(clock, Fault(code))
    assert response.json()["Code"] == code
    assert response.status_code >= 400


async def test_a_denied_permission_names_the_policy(clock: Clock) -> None:
    response = await _response(clock, Fault("NoPermission"))
    assert response.json()["AccessDeniedDetail"]["AuthAction"] == "vod:DescribeVodMediaPlayData"


@pytest.mark.parametrize(
    ("wait_header", "value"),
    [
        ("x-acs-retry-after", "1500"),
        ("x-ratelimit-user-api", "Limit:0,Remain:0,TimeLeft:1500,Reset:1500"),
        ("retry-after", "2"),
        ("none", None),
    ],
)
async def test_injected_throttling_names_the_given_wait(clock: Clock, wait_header: str, value: str | None) -> None:
    named = await _response(clock, Fault("Throttling.User", wait=1.5), wait_header=wait_header)
    assert named.headers.get(wait_header) == value
    silent = await _response(clock, Fault("Throttling.User"), wait_header=wait_header)
    assert wait_header not in silent.headers


@pytest.mark.parametrize(
    ("fault", "status", "start"),
    [
        ("html", 200, b"<!DOCTYPE html>"),
        ("empty", 200, b""),
        ("http_408", 408, b"<!DOCTYPE html>"),
        ("http_429", 429, b"<!DOCTYPE html>"),
        ("http_500", 500, b"<!DOCTYPE html>"),
        ("http_502", 502, b"<!DOCTYPE html>"),
        ("http_503", 503, b"<!DOCTYPE html>"),
        ("http_504", 504, b"<!DOCTYPE html>"),
        ("truncated", 200, b'{"RequestId":'),
    ],
)
async def test_bodies_that_are_not_json(clock: Clock, fault: str, status: int, start: bytes) -> None:
    response = await _response(clock, Fault(fault))
    assert response.status_code == status
    assert response.content.startswith(start)
    assert "date" in response.headers
    with pytest.raises(json.JSONDecodeError):
        response.json()


async def test_lower_case_keys(clock: Clock) -> None:
    response = await _response(clock, Fault("lower_case"))
    assert response.status_code == 500
    assert response.json()["code"] == "InternalError"
    assert response.json()["requestId"] == response.headers["x-acs-request-id"]


async def test_other_types_than_documented(clock: Clock) -> None:
    right = (await _response(clock)).json()["QoeInfoList"][0]
    strings = (await _response(clock, Fault("strings"))).json()["QoeInfoList"][0]
    assert strings == {name: str(value) for name, value in right.items()}
    nulls = (await _response(clock, Fault("nulls"))).json()["QoeInfoList"][0]
    assert nulls == {name: value if name == "MediaId" else None for name, value in right.items()}
    missing = (await _response(clock, Fault("missing"))).json()["QoeInfoList"][0]
    assert missing == {"MediaId": right["MediaId"]}
    assert (await _response(clock, Fault("null_list"))).json()["QoeInfoList"] is None
    assert "QoeInfoList" not in (await _response(clock, Fault("no_list"))).json()


async def test_faults_are_counted_by_name(clock: Clock) -> None:
    service = simulator(clock, faults=(Fault("html", times=1), Fault("Meter.ReadyTsError", times=2)))
    async with client_of(service, clock) as client:
        for _ in range(4):
            await client.request()
    assert service.request_log.counts == {"DescribeVodMediaPlayData": {"html": 1, "Meter.ReadyTsError": 2, "OK": 1}}


async def test_a_fault_can_be_limited_to_requests_with_given_parameters(clock: Clock) -> None:
    fault = Fault("Meter.ReadyTsError", when={"PlayDate": "20260318", "Os": "iOS"})
    async with client_of(simulator(clock, faults=(fault,)), clock) as client:
        assert (await client.request({**PAGE, "PlayDate": "20260318"})).status_code == 200
        assert (await client.request({**PAGE, "PlayDate": "20260318", "Os": "iOS"})).status_code == 502


async def test_a_request_without_a_valid_signature_uses_up_no_fault(clock: Clock) -> None:
    service = simulator(clock, faults=(Fault("html", times=1),))
    async with client_of(service, clock) as client:
        assert (await client.http.get("/")).json()["Code"] == "MissingAction"
        assert (await client.request()).content.startswith(b"<!DOCTYPE")


def _chosen(seed: int, *faults: Fault, requests: int = 1000) -> list[str]:
    plan = FaultPlan(faults, seed)
    return [fault.code if (fault := plan.choose({})) else "" for _ in range(requests)]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_faults_occur_at_their_rate_as_the_seed_determines(rate: float) -> None:
    chosen = _chosen(3, Fault("html", rate))
    assert chosen.count("html") / 1000 == pytest.approx(rate, abs=0.05 if 0 < rate < 1 else 0)
    assert chosen == _chosen(3, Fault("html", rate))
    assert (chosen == _chosen(4, Fault("html", rate))) is (rate in (0, 1))


def test_several_faults_occur_at_their_own_rates() -> None:
    chosen = _chosen(1, Fault("html", 0.2), Fault("empty", 0.25))
    assert chosen.count("html") == pytest.approx(200, abs=50)
    assert chosen.count("empty") == pytest.approx(200, abs=50)


def test_a_fault_is_written_as_code_and_rate() -> None:
    assert parse_fault("Meter.ReadyTsError:0.25") == Fault("Meter.ReadyTsError", 0.25)
    assert parse_fault("stall:1") == Fault("stall", 1.0)
    assert parse_fault("SearchMedia/stall:1") == Fault("stall", 1.0, {"Action": "SearchMedia"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("html", r"is not \[ACTION/\]CODE:RATE"),
        ("Search/html:1", "'Search' is not one of DescribeVodMediaPlayData, SearchMedia,"),
        ("html:often", "the rate must be a number from 0 to 1, not 'often'"),
        ("html:1.5", "must be from 0 to 1, not 1.5"),
        ("html:nan", "must be from 0 to 1, not nan"),
        ("Meter.Typo:0.5", "'Meter.Typo' is not one of Meter.ParamError, "),
        (":0.5", "'' is not one of"),
    ],
)
def test_an_invalid_fault_is_rejected_with_the_expected_form(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_fault(text)


async def test_a_fault_of_one_action_spares_the_others(clock: Clock) -> None:
    service = simulator(clock, faults=(parse_fault("GetVideoInfos/Forbidden.RAM:1"),))
    refused = await requested(service, clock, "GetVideoInfos", VideoIds="a")
    assert refused["Code"] == "Forbidden.RAM"
    assert refused["AccessDeniedDetail"]["AuthAction"] == "vod:GetVideoInfos"
    assert set(service.actions) == set(ACTIONS)
    for action in set(ACTIONS) - {"GetVideoInfos"}:
        assert (await requested(service, clock, action)).get("Code") != "Forbidden.RAM"


@pytest.mark.parametrize(
    ("fault", "values"),
    [
        ("strings", {"Duration": "60.0", "Title": "a"}),
        ("nulls", {"Duration": None, "Title": None}),
        ("missing", {}),
    ],
)
async def test_broken_rows_of_the_other_actions(clock: Clock, fault: str, values: dict[str, Any]) -> None:
    service = simulator(clock, media=0, faults=(Fault(fault),))
    service.library.put(Video("a" * 32, "a", 60.0, 1, 1))
    search = await requested(service, clock, "SearchMedia", Fields="Title,Duration")
    infos = await requested(service, clock, "GetVideoInfos", VideoIds="a" * 32)
    for row in (search["MediaList"][0]["Video"], infos["VideoList"][0]):
        assert {name: row[name] for name in ("Duration", "Title") if name in row} == values
        assert row["VideoId"] == "a" * 32


@pytest.mark.parametrize(("fault", "lists"), [("null_list", {"MediaList": None}), ("no_list", {})])
async def test_missing_lists_of_the_other_actions(clock: Clock, fault: str, lists: dict[str, None]) -> None:
    document = await requested(simulator(clock, faults=(Fault(fault),)), clock, "SearchMedia")
    assert {name: document[name] for name in ("MediaList",) if name in document} == lists
    assert document["Total"] == 0


@pytest.mark.parametrize("wrong", [{"times": -1}, {"wait": -1.0}, {"wait": float("inf")}])
def test_a_fault_out_of_range_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Fault("html", **wrong)
