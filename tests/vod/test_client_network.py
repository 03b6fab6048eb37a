"""The client against a server of bytes on loopback that does everything wrong."""

from __future__ import annotations

import asyncio
import gzip
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from exporter.errors import StartError, UpstreamError
from exporter.vod.client import Client
from exporter.vod.limits import Limits
from exporter.vod.play_data import decode
from tests.vod.fakes import FakeMeter, FakeSource, World
from tests.vod.servers import conversing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PAGE = b'{"RequestId":"R","TotalCount":0,"QoeInfoList":[]}'


@asynccontextmanager
async def serving(*conversations: Conversation) -> AsyncIterator[str]:
    """An endpoint where each connection has the next of these conversations, the last one for ever."""
    left = list(conversations)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) == b"P":  # of POST; TLS begins with another byte and has no end of headers
            await reader.readuntil(b"\r\n\r\n")
        await (left.pop(0) if len(left) > 1 else left[0])(reader, writer)

    async with conversing(serve) as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def asking(
    endpoint: str,
    timeout: float = 300.0,  # noqa: ASYNC109 - the client's; a loaded machine is slow, not wrong
    concurrency: int = 4,
) -> AsyncIterator[tuple[Client, FakeMeter]]:
    """A client over a real connection, whose pauses between attempts take no time."""

    async def no_sleep(_: float) -> None:
        await asyncio.sleep(0)

    meter = FakeMeter()
    limits = Limits("main", requests_per_second=1e6, concurrency=concurrency, meter=meter)
    async with Client(
        "main",
        endpoint=endpoint,
        credentials=FakeSource(),
        limits=limits,
        timeout=timeout,
        meter=meter,
        sleep=no_sleep,
    ) as client:
        yield client, meter


def says(head: bytes, body: bytes = b"", *, length: int | None = None) -> Conversation:
    async def conversation(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(body) if length is None else length
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (head, size, body))
        await writer.drain()

    return conversation


def raw(data: bytes) -> Conversation:
    async def conversation(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return conversation


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Lingering for no time makes closing a reset.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.close()


async def resets_in_the_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await says(b"200 OK", PAGE[:20], length=len(PAGE))(reader, writer)
    await resets(reader, writer)


async def stalls(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client hangs up


async def trickles(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


GOOD = says(b"200 OK\r\nContent-Type: application/json", PAGE)
ZIPPED = gzip.compress(PAGE)


@pytest.mark.parametrize(
    "conversation",
    [
        GOOD,
        says(b"200 OK\r\nContent-Encoding: gzip", ZIPPED),
        raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
            % (PAGE[:5], len(PAGE) - 5, PAGE[5:])
        ),
        raw(b"HTTP/1.0 200 OK\r\n\r\n" + PAGE),
    ],
    ids=["plain", "gzip", "chunked", "until closed"],
)
async def test_answers(conversation: Conversation) -> None:
    async with serving(conversation) as endpoint, asking(endpoint) as (client, meter):
        page = await client.call("Ask", "1", {"a": "b"}, decode)
        assert (page.total_count, page.request_id) == (0, "R")
        assert (meter.sent, meter.failed) == (1, [])


@pytest.mark.parametrize(
    ("conversation", "failed"),
    [
        (resets, ("connect", "transport")),
        (raw(b""), ("connect", "transport")),
        (resets_in_the_body, ("connect", "transport")),
        (says(b"200 OK", PAGE[:20], length=len(PAGE)), ("connect", "transport")),
        (says(b"200 OK", PAGE[:-5]), ("malformed", "malformed")),
        (says(b"200 OK"), ("malformed", "malformed")),
        (raw(b"\x16\x03\x01garbage\r\n\r\n"), ("connect", "transport")),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), ("connect", "transport")),
        (says(b"200 OK\r\nContent-Encoding: gzip", b"not gzip"), ("malformed", "malformed")),
        (says(b"200 OK\r\nContent-Encoding: gzip", ZIPPED[:-10]), ("malformed", "malformed")),
        (says(b"500 Oops\r\nContent-Encoding: gzip", b"not gzip"), ("http_500", "server")),
        (says(b"503 Busy", b'{"Code":"ServiceUnavailable"}'), ("ServiceUnavailable", "server")),
        (says(b"500 Oops", b"x" * 1_000_000), ("http_500", "server")),
        (says(b"200 OK\r\nContent-Encoding: gzip", gzip.compress(b" " * 17 * 1024 * 1024)), ("malformed", "malformed")),
    ],
    ids=[
        "reset before headers",
        "closed before headers",
        "reset in the body",
        "closed in the body",
        "truncated JSON",
        "empty",
        "garbage",
        "two lengths",
        "not gzip",
        "truncated gzip",
        "error that is not gzip",
        "error with a code",
        "endless error",
        "gzip bomb",
    ],
)
async def test_one_failure_then_an_answer(conversation: Conversation, failed: tuple[str, str]) -> None:
    async with serving(conversation, GOOD) as endpoint, asking(endpoint) as (client, meter):
        page = await client.call("Ask", "1", {}, decode)
        assert page.request_id == "R"
        assert (meter.sent, meter.failed, meter.retries) == (2, [failed], 1)


@pytest.mark.parametrize("conversation", [stalls, trickles])
def test_timeout_bounds_the_whole_attempt(conversation: Conversation) -> None:
    async def too_long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        put_forward(300)
        await conversation(reader, writer)

    async def given_up() -> None:
        async with serving(too_long) as endpoint, asking(endpoint) as (client, meter):
            with pytest.raises(UpstreamError, match=r"^no complete answer within 300 s$") as caught:
                await client.call("Ask", "1", {}, decode)
            assert caught.value.code == "timeout"
            assert meter.failed == [("timeout", "transport")] * 4

    with asyncio.Runner(loop_factory=Hurried) as runner:
        runner.run(given_up())


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    async with asking(endpoint) as (client, meter):
        with pytest.raises(UpstreamError, match=r"^no answer from 127\.0\.0\.1:") as caught:
            await client.call("Ask", "1", {}, decode)
        assert caught.value.code == "connect"
        assert caught.value.advice
        assert meter.failed == [("connect", "transport")] * 4


async def test_tls_with_a_server_that_speaks_none() -> None:
    plain = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    async with serving(plain) as http, asking(http.replace("http:", "https:")) as (client, meter):
        with pytest.raises(UpstreamError):
            await client.call("Ask", "1", {}, decode)
        assert meter.failed == [("connect", "transport")] * 4


async def test_redirect_is_not_followed() -> None:
    async with (
        serving(GOOD) as other,
        serving(says(b"302 Found\r\nLocation: " + other.encode())) as endpoint,
        asking(endpoint) as (client, meter),
    ):
        with pytest.raises(UpstreamError):
            await client.call("Ask", "1", {}, decode)
        assert meter.failed == [("http_302", "other")]


async def test_cancelled_while_the_server_stalls() -> None:
    async with serving(stalls, GOOD) as endpoint, asking(endpoint) as (client, meter):
        call = asyncio.create_task(client.call("Ask", "1", {}, decode))
        while not meter.sent:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert meter.failed == []
        assert (await client.call("Ask", "1", {}, decode)).request_id == "R"


async def test_proxy_of_the_environment_is_not_asked_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with serving(GOOD) as endpoint, asking(endpoint) as (client, _):
        assert (await client.call("Ask", "1", {}, decode)).request_id == "R"


@pytest.mark.parametrize(
    ("variable", "value"), [("HTTPS_PROXY", "gopher://127.0.0.1:1"), ("SSL_CERT_FILE", "/nonexistent.pem")]
)
async def test_settings_of_the_environment_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(StartError, match=r"^account main: the proxy or certificate settings"):
        async with asking("https://vod.cn-shanghai.aliyuncs.com"):
            pass


def test_world_is_offline() -> None:
    """A client that is never used opens nothing."""
    assert World(lambda _: pytest.fail("asked")).meter.sent == 0


async def test_a_proxy_of_the_environment_is_asked_and_no_proxy_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with asking("http://vod.example.invalid") as (client, _):
            assert (await client.call("Ask", "1", {}, decode)).request_id == "R"

        monkeypatch.setenv("NO_PROXY", "example.invalid")
        async with asking("http://vod.example.invalid") as (client, meter):
            with pytest.raises(UpstreamError, match=r"^no answer from vod\.example\.invalid"):
                await client.call("Ask", "1", {}, decode)
            assert meter.failed == [("connect", "transport")] * 4


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_asked_whatever_it_is_for(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    async with serving(GOOD) as proxy:
        monkeypatch.setenv(variable, proxy)
        async with asking("http://vod.example.invalid") as (client, _):
            assert (await client.call("Ask", "1", {}, decode)).request_id == "R"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "[::1]"])
async def test_no_proxy_is_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = server.getsockname()[1]
    async with serving(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with asking(f"http://{host}:{nobody}") as (client, meter):
            with pytest.raises(UpstreamError):
                await client.call("Ask", "1", {}, decode)
            assert meter.failed == [("connect", "transport")] * 4


@pytest.mark.parametrize(
    ("conversation", "failed"),
    [
        (says(b"302 Found\r\nLocation: http://other.example.invalid/"), ("http_302", "other")),
        (says(b"200 OK\r\nContent-Encoding: gzip", b"not gzip"), ("malformed", "malformed")),
    ],
    ids=["redirect", "not gzip"],
)
async def test_by_a_proxy_the_same_failures_are_the_same(
    monkeypatch: pytest.MonkeyPatch, conversation: Conversation, failed: tuple[str, str]
) -> None:
    async with serving(conversation) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with asking("http://vod.example.invalid") as (client, meter):
            with pytest.raises(UpstreamError):
                await client.call("Ask", "1", {}, decode)
            assert set(meter.failed) == {failed}


async def test_by_a_proxy_as_many_are_asked_at_once_as_the_account_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    many, there, all_there = 101, 0, asyncio.Event()

    async def waits_for_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal there
        there += 1
        if there == many:
            all_there.set()
        await all_there.wait()
        await GOOD(reader, writer)

    async with serving(waits_for_all) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with asking("http://vod.example.invalid", concurrency=many) as (client, meter):
            await asyncio.gather(*(client.call("Ask", "1", {"MediaId": str(n)}, decode) for n in range(many)))
            assert (meter.sent, meter.failed) == (many, [])


class Hurried(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def put_forward(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Hurried)
    loop.ahead += seconds


def test_by_a_proxy_there_is_no_other_time_limit_than_that_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    async def takes_an_hour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        put_forward(3600)
        for _ in range(10):  # whatever is due by now has its turn
            await asyncio.sleep(0)
        await GOOD(reader, writer)

    async def ask() -> list[tuple[str, str]]:
        async with serving(takes_an_hour) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy)
            async with asking("http://vod.example.invalid", timeout=7200) as (client, meter):
                assert (await client.call("Ask", "1", {}, decode)).request_id == "R"
                return meter.failed

    with asyncio.Runner(loop_factory=Hurried) as runner:
        assert runner.run(ask()) == []
