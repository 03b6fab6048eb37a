from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from exporter import app
from exporter.app import Runtime, assemble_daemon
from exporter.config.loader import loads
from exporter.errors import StartError
from exporter.simulator.access_keys import AccessKeyPair
from exporter.simulator.options import SimulatorOptions
from exporter.vod.credentials import credential_files
from exporter.web.server import bound, serving, urls
from tests.harness import (
    CONFIGURATION,
    Clock,
    Harness,
    configuration,
    running_harness,
    simulated,
)
from tests.web.clients import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from starlette.requests import Request

# The example of Alibaba Cloud's page, unchanged.
EXAMPLE = (
    '{"RequestId":"25818875-5F78-4AF6-D7393642CA58****","TotalCount":1,"PageNo":1,"PageSize":20,"QoeInfoList":'
    '[{"VideoTitle":"阿里云VOD视频标题","VideoDuration":246,"MediaId":"9ae2af636ca6c10412f44891fc****","DAU":5,'
    '"PlaySuccessVv":20,"PlayDurationPerUv":120,"PlayDuration":2400,"PlayPerVv":4}]}'
)
LABELS = (
    'account="main",media_id="9ae2af636ca6c10412f44891fc****",terminal_type="all",os="all",region="all",days_ago="1"'
)


@contextlib.asynccontextmanager
async def answering(body: str) -> AsyncGenerator[str]:
    """The URL of a service that returns the same body for every request."""

    async def answer(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    with bound(["127.0.0.1:0"]) as sockets:
        async with serving(Starlette(routes=[Route("/", answer, methods=["POST"])]), sockets):
            yield urls(sockets)[0]


async def test_the_example_of_the_documentation_is_exposed_with_its_eight_fields() -> None:
    clock = Clock()
    async with (
        answering(EXAMPLE) as url,
        assemble_daemon(configuration(url), Runtime({}, clock.now, clock.now, clock.sleep)) as exporter,
    ):
        await exporter.poll(exporter.queries[0])
        body = (await exporter.scrape(None, None)).body.decode()

    samples = [line for line in body.splitlines() if line.startswith(("aliyun_vod_media_", "aliyun_vod_slice_"))]
    assert samples == [
        f"aliyun_vod_media_plays{{{LABELS}}} 20",
        f"aliyun_vod_media_viewers{{{LABELS}}} 5",
        f"aliyun_vod_media_plays_per_viewer{{{LABELS}}} 4",
        f"aliyun_vod_media_play_duration_seconds{{{LABELS}}} 2400",
        f"aliyun_vod_media_play_duration_per_viewer_seconds{{{LABELS}}} 120",
        'aliyun_vod_media_duration_seconds{account="main",media_id="9ae2af636ca6c10412f44891fc****"} 246',
        'aliyun_vod_media_info{account="main",media_id="9ae2af636ca6c10412f44891fc****",title="阿里云VOD视频标题"} 1',
        'aliyun_vod_slice_media{account="main",terminal_type="all",os="all",region="all",days_ago="1"} 1',
        (
            'aliyun_vod_slice_updated_timestamp_seconds{account="main",terminal_type="all",os="all",region="all",'
            'days_ago="1"} 1711252800.0'
        ),
        'aliyun_vod_slice_settled{account="main",terminal_type="all",os="all",region="all",days_ago="1"} 0',
        'aliyun_vod_slice_ready{account="main",terminal_type="all",os="all",region="all",days_ago="1"} 1',
    ]


async def test_media_by_id_the_top_and_all_show_the_service_s_own_numbers() -> None:
    async with running_harness(media="all") as harness:
        ids = harness.simulator.dataset.media_ids
        await harness.poll()
        truth = harness.truth()
        assert await harness.plays() == truth

    async with running_harness(media="{top: 7, by: plays}") as harness:
        await harness.poll()
        assert await harness.plays() == dict(sorted(truth.items(), key=lambda item: -item[1])[:7])

    async with running_harness(media=f"{{ids: {json.dumps(list(ids))}}}") as harness:
        await harness.poll()
        assert await harness.plays() == {media_id: truth.get(media_id, 0) for media_id in ids}
        assert 0 in (await harness.plays()).values()


async def test_every_dimension_is_a_slice_of_its_own() -> None:
    dimensions = "[{}, {terminal_type: [Native, Web]}, {os: [Android, iOS]}, {region: cn-beijing}]"
    async with running_harness(dimensions=dimensions, days_ago="[1, 2]") as harness:
        assert await harness.poll() == "success"

        updated = await harness.series("^aliyun_vod_slice_updated_timestamp_seconds")
        assert len(updated) == 6 * 2
        native, web = [sum((await harness.plays(1, f'terminal_type="{t}"')).values()) for t in ("Native", "Web")]
        assert native + web == sum(harness.truth().values())


async def test_ready_once_every_query_was_polled_with_any_result() -> None:
    text = CONFIGURATION + "  - {name: other, media: all, days_ago: 2}\n"
    async with running_harness(text=text) as harness:
        assert harness.exporter.pending_queries() == ["q", "other"]
        await harness.exporter.poll(harness.exporter.queries[0])
        assert harness.exporter.pending_queries() == ["other"]

        harness.simulator.change(credentials=AccessKeyPair("nobody", "knows"))
        await harness.exporter.poll(harness.exporter.queries[1])
        assert harness.exporter.pending_queries() == []

        results = [(report.query.name, report.result) for report in harness.exporter.reports()]
        assert results == [("q", "success"), ("other", "failure")]
        assert harness.exporter.publication().series > 100


async def test_every_self_metric_that_can_be_known_exists_before_the_first_poll() -> None:
    async with running_harness() as harness:
        zeros = {name for name, value in (await harness.series("^aliyun_vod_(api|query)_")).items() if value == 0}

        for code in ("ParamError", "ServerInternalError", "DataSourceQueryError", "AuthError", "ReadyTsError"):
            assert any(f'code="Meter.{code}"' in name for name in zeros)
        assert 'aliyun_vod_query_up{account="main",query="q"}' in zeros
        assert (await harness.series("rate_limit")).popitem()[1] == 1000
        assert (await harness.series("last_reload_successful")).popitem()[1] == 1


async def test_queries_of_one_account_share_calls_and_it_shows() -> None:
    async with running_harness(
        text=CONFIGURATION + "  - {name: other, media: all, days_ago: 1, expected: false}\n"
    ) as harness:
        await harness.poll()

        assert len(harness.simulator.request_log.calls) == 1
        saved = await harness.series("^aliyun_vod_api_calls_saved_total.*shared")
        assert list(saved.values()) == [1]


async def test_keys_in_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("simulator\n")
    (tmp_path / "secret").write_text("wrong\n")
    text = CONFIGURATION.replace(
        "{access_key_id: simulator, access_key_secret: simulator-secret}",
        f"{{access_key_id_file: {tmp_path}/id, access_key_secret_file: {tmp_path}/secret}}",
    )
    async with running_harness(text=text) as harness:
        assert await harness.poll() == "failure"
        (tmp_path / "secret").write_text("simulator-secret\n")
        assert await harness.poll(later=10) == "success"


async def test_a_security_token_travels_along() -> None:
    text = CONFIGURATION.replace("simulator-secret}", "simulator-secret, security_token: a-token}")
    async with running_harness(text=text) as harness:
        harness.simulator.change(credentials=AccessKeyPair(security_token="a-token"))
        assert await harness.poll() == "success"


async def test_a_key_file_that_comes_later_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CONFIGURATION.replace("access_key_secret: simulator-secret", f"access_key_secret_file: {tmp_path}/later")
    async with running_harness(text=text) as harness:
        assert "no credentials yet" in capsys.readouterr().out
        assert await harness.poll() == "failure"
        (tmp_path / "later").write_text("simulator-secret")
        assert await harness.poll(later=10) == "success"


async def test_without_any_key_it_does_not_start() -> None:
    config = loads("queries: [{name: q, media: all}]", file="config.yaml", environ={})

    with pytest.raises(
        StartError, match="account default: environment variable ALIBABA_CLOUD_ACCESS_KEY_ID is not set"
    ):
        async with assemble_daemon(config, Runtime({})):
            pass


async def test_keys_of_the_environment_are_used() -> None:
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
    async with simulated() as (simulator, url):
        text = f"accounts: [{{name: main, endpoint: '{url}'}}]\nqueries: [{{name: q, media: all, days_ago: 1}}]"
        clock = Clock()
        runtime = Runtime(keys, clock.now, clock.now, clock.sleep)
        async with assemble_daemon(loads(text, file="config.yaml", environ={}), runtime) as exporter:
            harness = Harness(exporter, simulator, clock)
            assert await harness.poll() == "success"


async def test_it_polls_and_serves_until_stopped() -> None:
    clock, stop = Clock(), asyncio.Event()
    places: asyncio.Queue[list[str]] = asyncio.Queue()
    async with simulated(SimulatorOptions(media=5), clock) as (_, url):
        runtime = Runtime({}, clock.now, clock.now, clock.sleep)
        served = asyncio.create_task(
            app.serve(
                configuration(url, days_ago="[1, 8]"),
                runtime,
                listen=["127.0.0.1:0"],
                telemetry_path="/vod",
                stop=stop,
                listening=places.put_nowait,
            )
        )
        (place,) = await places.get()
        async with httpx.AsyncClient(base_url=place, timeout=PATIENCE) as client:
            while (await client.get("/-/ready")).status_code != 200:
                await asyncio.sleep(0)
            metrics = (await client.get("/vod")).text
            page = (await client.get("/")).text
        stop.set()
        await served

    assert 'aliyun_vod_query_polls_total{account="main",query="q",result="success"} 1.0' in metrics
    assert 'aliyun_vod_query_next_poll_timestamp_seconds{account="main",query="q"}' in metrics
    assert "</span> success</span>" in page
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(place)


async def test_stop_is_obeyed_while_the_start_waits_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("secret")
    text = CONFIGURATION.replace("access_key_secret: simulator-secret", f"access_key_secret_file: {tmp_path}/secret")
    config = configuration("http://127.0.0.1:1", text=text)
    reading, responds, stop = threading.Event(), threading.Event(), asyncio.Event()

    def hang(path: Path, *, most: int) -> bytes:
        del path, most
        reading.set()
        responds.wait(60)
        return b""

    monkeypatch.setattr(credential_files, "read_secret", hang)
    served = asyncio.create_task(
        app.serve(config, Runtime({}), listen=["127.0.0.1:0"], telemetry_path="/metrics", stop=stop)
    )
    while not reading.is_set():
        await asyncio.sleep(0.001)
    stop.set()
    async with asyncio.timeout(5):
        await served
    responds.set()


async def test_a_port_in_use_is_reported_before_any_poll() -> None:
    async with simulated() as (simulator, url):
        with pytest.raises(StartError, match="Address already in use"):
            await app.serve(
                configuration(url),
                Runtime({}),
                listen=[url.removeprefix("http://")],
                telemetry_path="/metrics",
                stop=asyncio.Event(),
            )
        assert not simulator.request_log.calls
