from __future__ import annotations

import asyncio

import httpx
import pytest

from exporter.simulator.faults import Fault
from exporter.simulator.service import Simulator
from tests.simulator.clients import Client, Clock, no_sleep, simulator
from tests.simulator.loopback import listening
from tests.web.clients import PATIENCE


def _client(http: httpx.AsyncClient, clock: Clock) -> Client:
    return Client(http, clock, http.base_url.netloc.decode())


async def test_a_response_over_tcp_has_a_single_date_header(clock: Clock) -> None:
    async with listening(simulator(clock)) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        response = await _client(http, clock).request()
    assert response.status_code == 200
    assert response.headers.get_list("date") == ["Wed, 18 Mar 2026 04:00:00 GMT"]
    assert "server" not in response.headers


@pytest.mark.parametrize("fault", ["reset", "stall", "trickle"])
async def test_a_connection_fault_breaks_the_response_but_not_the_server(clock: Clock, fault: str) -> None:
    service = Simulator(clock=clock)
    service.change(faults=(Fault(fault, times=1),))
    expected: dict[str, type[Exception]] = {
        "reset": httpx.RemoteProtocolError,
        "stall": TimeoutError,
        "trickle": TimeoutError,
    }
    async with listening(service) as url, httpx.AsyncClient(base_url=url, timeout=None) as http:  # noqa: S113 - it hangs
        client = _client(http, clock)
        with pytest.raises(expected[fault]):
            # Only faults that never end need a time limit.
            async with asyncio.timeout(None if fault == "reset" else 0.5):
                await client.request()
        service.change(faults=())
        assert (await client.request()).status_code == 200


async def _response_at_shutdown(service: Simulator, clock: Clock) -> httpx.Response:
    """The response to a request that is pending when the server stops.

    The server aborts requests that outlast its grace period: a response shows that this one did not.
    """
    async with httpx.AsyncClient(timeout=None) as http:  # noqa: S113 - it ends with the server
        async with listening(service) as url:
            http.base_url = httpx.URL(url)
            pending = asyncio.create_task(_client(http, clock).request())
            while not service.request_log.calls:
                await asyncio.sleep(0)
        return await pending


async def test_a_stalled_response_does_not_delay_the_shutdown(clock: Clock) -> None:
    response = await _response_at_shutdown(simulator(clock, faults=(Fault("stall"),)), clock)
    assert (response.status_code, response.json()["Code"]) == (503, "ServiceUnavailable")


async def test_a_slow_response_is_sent_at_shutdown(clock: Clock) -> None:
    service = Simulator(clock=clock)
    service.change(faults=(Fault("slow", wait=60.0),))
    assert (await _response_at_shutdown(service, clock)).status_code == 200


async def test_a_trickling_response_ends_at_shutdown(clock: Clock) -> None:
    service = Simulator(clock=clock)
    service.change(faults=(Fault("trickle"),))
    with pytest.raises(httpx.RemoteProtocolError):
        await _response_at_shutdown(service, clock)


@pytest.mark.parametrize("fault", ["trickle", "slow"])
async def test_a_late_response_is_correct(clock: Clock, fault: str) -> None:
    service = Simulator(clock=clock, sleep=no_sleep)
    small = {"PageNo": "1", "PageSize": "1"}
    async with listening(service) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        client = _client(http, clock)
        right = (await client.request(small)).json()["QoeInfoList"]
        service.change(faults=(Fault(fault),))
        assert (await client.request(small)).json()["QoeInfoList"] == right


async def test_a_slow_response_is_delayed_by_the_configured_time(clock: Clock) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    service = Simulator(clock=clock, sleep=sleep)
    service.change(faults=(Fault("slow", times=1), Fault("slow", wait=0.25)))
    async with listening(service) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        client = _client(http, clock)
        await client.request()
        await client.request()
    assert slept == [3.0, 0.25]


async def test_what_is_not_http_gets_400_and_the_server_lives_on(clock: Clock) -> None:
    async with listening(simulator(clock)) as url, httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
        writer.write(b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()
        await writer.wait_closed()
        assert (await _client(http, clock).request()).status_code == 200
