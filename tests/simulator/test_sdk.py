"""The official SDK, unmodified, against the simulator: it must accept the responses."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from exporter.core.model import Dimensions
from exporter.simulator.access_keys import SIMULATOR_ACCESS_KEY_ID, SIMULATOR_ACCESS_KEY_SECRET, AccessKeyPair
from exporter.simulator.actions import in_service_format
from exporter.simulator.calendar import day_at
from exporter.simulator.faults import Fault
from exporter.simulator.generated_media import EXAMPLE_MEDIA_ID
from exporter.simulator.media_library import APP_ID
from exporter.simulator.parameters import format_time
from exporter.simulator.service import Simulator
from exporter.simulator.variants import parse_variants
from tests.simulator.loopback import listening
from tests.web.clients import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _serving_in_thread(simulator: Simulator) -> Iterator[str]:
    """Serve the simulator in a thread with its own loop, apart from the blocking client; yields host:port."""
    up, loop, stop, where = threading.Event(), asyncio.new_event_loop(), asyncio.Event(), []

    async def serve() -> None:
        async with listening(simulator) as url:
            where.append(url.removeprefix("http://"))
            up.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert up.wait(PATIENCE)
        yield where[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        loop.close()


@pytest.fixture
def simulator() -> Simulator:
    return Simulator()


@pytest.fixture
def endpoint(simulator: Simulator) -> Iterator[str]:
    with _serving_in_thread(simulator) as host:
        yield host


def _client(endpoint: str, credentials: AccessKeyPair | None = None) -> Any:
    from alibabacloud_tea_openapi.models import Config  # noqa: PLC0415 - it reads the environment when imported
    from alibabacloud_vod20170321.client import Client  # noqa: PLC0415 - as above

    key = credentials or AccessKeyPair()
    config = Config(
        access_key_id=key.access_key_id,
        access_key_secret=key.access_key_secret,
        security_token=key.security_token,
        endpoint=endpoint,
        protocol="http",
    )
    return Client(config)


def _request(**parameters: Any) -> Any:
    from alibabacloud_vod20170321.models import DescribeVodMediaPlayDataRequest  # noqa: PLC0415 - as above

    return DescribeVodMediaPlayDataRequest(**{"page_no": 1, "page_size": 100, **parameters})


async def _request_page(client: Any, way: str, **parameters: Any) -> Any:
    if way == "async":
        return await client.describe_vod_media_play_data_async(_request(**parameters))
    return await asyncio.to_thread(client.describe_vod_media_play_data, _request(**parameters))


WAYS = pytest.mark.parametrize("way", ["sync", "async"])


@WAYS
async def test_a_page(simulator: Simulator, endpoint: str, way: str) -> None:
    day = day_at(simulator.now(), 3)
    response = await _request_page(_client(endpoint), way, play_date=day.strftime("%Y%m%d"))
    oracle = [counts.row() for counts in simulator.dataset.result_set(day, now=simulator.now())]
    body = response.body
    assert response.status_code == 200
    assert (body.total_count, body.page_no, body.page_size) == (len(oracle), 1, 100)
    assert body.request_id == response.headers["x-acs-request-id"]
    assert [(row.media_id, row.video_title, row.dau, row.play_success_vv) for row in body.qoe_info_list] == [
        (row.media_id, row.title, row.viewers, row.plays) for row in oracle[:100]
    ]


@WAYS
async def test_every_parameter(simulator: Simulator, endpoint: str, way: str) -> None:
    day = day_at(simulator.now(), 3)
    response = await _request_page(
        _client(endpoint),
        way,
        play_date=day.strftime("%Y%m%d"),
        terminal_type="Web",
        os="Windows",
        region="cn-shanghai",
        media_id=EXAMPLE_MEDIA_ID,
        order_name="PlayDurationPerUv",
        order_type="DESC",
        page_size=1,
    )
    (row,) = response.body.qoe_info_list
    what = Dimensions("Web", "Windows", "cn-shanghai")
    expected = simulator.dataset.row(EXAMPLE_MEDIA_ID, day, what, now=simulator.now())
    assert expected is not None
    assert (row.play_duration, row.play_per_vv, row.play_duration_per_uv, row.video_duration) == (
        expected.play_duration,
        expected.plays_per_viewer,
        expected.play_duration_per_viewer,
        expected.media_duration,
    )


async def _error(client: Any, way: str, **parameters: Any) -> Any:
    from alibabacloud_tea_openapi.exceptions import AlibabaCloudException  # noqa: PLC0415 - as above

    with pytest.raises(AlibabaCloudException) as raised:
        await _request_page(client, way, **parameters)
    return raised.value


@WAYS
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("Meter.ParamError", 400),
        ("Meter.ServerInternalError", 500),
        ("Meter.DataSourceQueryError", 500),
        ("Meter.AuthError", 403),
        ("Meter.ReadyTsError", 502),
        ("ServiceUnavailable", 503),
        ("NoPermission", 403),
    ],
)
async def test_errors_of_the_service(simulator: Simulator, endpoint: str, way: str, code: str, status: int) -> None:
    simulator.change(faults=(Fault(code),))
    error = await _error(_client(endpoint), way)
    assert (error.code, error.status_code) == (code, status)


@WAYS
async def test_wrong_parameters(endpoint: str, way: str) -> None:
    error = await _error(_client(endpoint), way, page_size=101)
    assert error.code == "Meter.ParamError"


@WAYS
@pytest.mark.parametrize(
    ("key", "code"),
    [
        (AccessKeyPair("nobody", SIMULATOR_ACCESS_KEY_SECRET), "InvalidAccessKeyId.NotFound"),
        (AccessKeyPair(SIMULATOR_ACCESS_KEY_ID, "guess"), "SignatureDoesNotMatch"),
        (
            AccessKeyPair(SIMULATOR_ACCESS_KEY_ID, SIMULATOR_ACCESS_KEY_SECRET, "unexpected"),
            "InvalidSecurityToken.MismatchWithAccessKey",
        ),
    ],
)
async def test_a_wrong_key(endpoint: str, way: str, key: AccessKeyPair, code: str) -> None:
    assert (await _error(_client(endpoint, key), way)).code == code


@WAYS
async def test_a_temporary_key(simulator: Simulator, endpoint: str, way: str) -> None:
    key = AccessKeyPair("sts", "secret", "token")
    simulator.change(credentials=key)
    assert (await _request_page(_client(endpoint, key), way)).status_code == 200
    simulator.change(token_expired=True)
    assert (await _error(_client(endpoint, key), way)).code == "InvalidSecurityToken.Expired"


@WAYS
async def test_throttling_and_its_wait(simulator: Simulator, endpoint: str, way: str) -> None:
    simulator.change(faults=(Fault("Throttling.User", wait=2.5),))
    error = await _error(_client(endpoint), way)
    assert error.code == "Throttling.User"
    assert error.retry_after == 2500


def _player_request(now: float, **more: Any) -> dict[str, Any]:
    times = {"start_time": format_time(now - 7200), "end_time": format_time(now)}
    return {"app_id": APP_ID, **times, "interval": "5m", "terminal_type": "mobile", "metrics": "Vv,Uv,RealVv", **more}


ACTIONS = pytest.mark.parametrize(
    ("method", "request_name", "parameters"),
    [
        ("search_media", "SearchMediaRequest", {"fields": "Title,CateId,Tags,Status,Duration,Size", "page_size": 20}),
        ("search_media", "SearchMediaRequest", {"match": "Title in ('a','b') and Status = 'Normal'"}),
        ("get_video_infos", "GetVideoInfosRequest", {"video_ids": f"{EXAMPLE_MEDIA_ID},{'0' * 32}"}),
        ("get_categories", "GetCategoriesRequest", {"cate_id": -1, "page_no": 1, "page_size": 100}),
        ("describe_vod_player_metric_data", "DescribeVodPlayerMetricDataRequest", None),
    ],
)


async def _call(client: Any, way: str, method: str, request_name: str, parameters: dict[str, Any]) -> Any:
    import alibabacloud_vod20170321.models as models  # noqa: PLC0415, PLR0402 - as above

    request = getattr(models, request_name)(**parameters)
    if way == "async":
        return await getattr(client, f"{method}_async")(request)
    return await asyncio.to_thread(getattr(client, method), request)


@WAYS
@ACTIONS
@pytest.mark.parametrize("numbers", ["numbers", "strings"])
async def test_every_field_of_the_other_actions(
    simulator: Simulator,
    endpoint: str,
    way: str,
    method: str,
    request_name: str,
    parameters: dict[str, Any] | None,
    numbers: str,
) -> None:
    simulator.change(variants=parse_variants([f"numbers:{numbers}"]))
    given = _player_request(simulator.now()) if parameters is None else parameters
    response = await _call(_client(endpoint), way, method, request_name, given)
    (call,) = simulator.request_log.calls
    answer = simulator.actions[call.action].respond(call.parameters, simulator.now(), simulator.conditions.variants)
    sent = {"RequestId": call.request_id, **in_service_format(answer, call.action, simulator.conditions.variants)}
    sent.pop("ScrollToken", None)
    # The SDK drops what it does not know.
    received = {name: value for name, value in response.body.to_map().items() if name != "ScrollToken"}
    assert received == sent


@WAYS
async def test_errors_of_the_other_actions(simulator: Simulator, endpoint: str, way: str) -> None:
    from alibabacloud_tea_openapi.exceptions import AlibabaCloudException  # noqa: PLC0415 - as above

    client = _client(endpoint)
    for method, request_name, parameters, code, status in (
        ("search_media", "SearchMediaRequest", {"match": "CateId > 1"}, "ErrorMatchSyntax", 400),
        ("get_video_infos", "GetVideoInfosRequest", {"video_ids": "0" * 32}, "InvalidVideo.NotFound", 404),
        ("get_categories", "GetCategoriesRequest", {"cate_id": 5}, "InvalidCateId.NotFound", 404),
        (
            "describe_vod_player_metric_data",
            "DescribeVodPlayerMetricDataRequest",
            _player_request(simulator.now(), interval="2m"),
            "Meter.ParamError",
            400,
        ),
    ):
        with pytest.raises(AlibabaCloudException) as raised:
            await _call(client, way, method, request_name, parameters)
        assert (raised.value.code, raised.value.status_code) == (code, status)
