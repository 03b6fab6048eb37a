"""What goes over the wire is what httpx was given, and connections are kept; failures are in test_client_network.py."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from exporter.vod import transport as transports
from exporter.vod.transport import CHUNK_BYTES, Connections, Direct
from tests.vod.servers import conversing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.vod.servers import Conversation

AUTHORITY = trustme.CA()


@dataclass
class Server:
    """Answers every request with the same bytes, over TLS; remembers what came in over which connection."""

    answer: bytes
    requests: list[tuple[int, bytes]] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        while True:
            self.requests.append((number, await reader.readuntil(b"\r\n\r\n")))
            writer.write(self.answer)
            await writer.drain()


def replied(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body))


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[tuple[Server, str]]:
    server, context = Server(answer), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    async with conversing(server.serve, context) as port:
        yield server, f"https://127.0.0.1:{port}/"


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    transport = Connections(context)
    yield transport
    await transport.aclose()


async def fetched(connections: Connections, request: httpx.Request) -> tuple[httpx.Response, bytes]:
    response = await connections.handle_async_request(request)
    body = b"".join([chunk async for chunk in response.aiter_raw()])
    await response.aclose()
    return response, body


async def test_what_was_signed_is_sent_byte_for_byte_and_nothing_is_added(connections: Connections) -> None:
    async with serving(replied(b"{}")) as (server, url):
        request = httpx.Request("POST", f"{url}?MediaId=a%20b%2B%2A~%E4%BD%A0&T=%7E", headers={"x-acs-Action": "A b"})
        await fetched(connections, request)

        (_, sent), *_ = server.requests
        first, *headers = sent.decode().rstrip().split("\r\n")
        assert first == "POST /?MediaId=a%20b%2B%2A~%E4%BD%A0&T=%7E HTTP/1.1"
        authority = url.removeprefix("https://").rstrip("/")
        assert sorted(headers, key=str.lower) == ["Content-Length: 0", f"Host: {authority}", "x-acs-Action: A b"]


async def test_the_answer_comes_as_it_was_sent(connections: Connections) -> None:
    answer = replied(b"\x1f\x8b not gzip", b"Content-Encoding: gzip", b"X-Twice: 1", b"X-Twice: 2", b"Set-Cookie: a=b")
    async with serving(answer) as (server, url):
        response, body = await fetched(connections, httpx.Request("POST", url))
        await fetched(connections, httpx.Request("POST", url))

        assert (response.status_code, body) == (200, b"\x1f\x8b not gzip")
        assert response.headers.get_list("x-twice") == ["1", "2"]
        assert b"Cookie" not in server.requests[1][1]


async def test_redirects_are_answers(connections: Connections) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    async with serving(moved) as (server, url):
        response, _ = await fetched(connections, httpx.Request("POST", url))
        assert (response.status_code, len(server.requests)) == (302, 1)


async def test_a_connection_is_used_again_once_its_answer_was_read(connections: Connections) -> None:
    async with serving(replied(b"x" * 100_000)) as (server, url):
        for _ in range(3):
            await fetched(connections, httpx.Request("POST", url))
        assert [number for number, _ in server.requests] == [1, 1, 1]

        await asyncio.gather(*(fetched(connections, httpx.Request("POST", url)) for _ in range(3)))
        assert server.connections == 3


async def test_a_connection_whose_answer_was_not_read_is_closed(connections: Connections) -> None:
    async with serving(replied(b"x" * 10_000_000)) as (server, url):
        response = await connections.handle_async_request(httpx.Request("POST", url))
        await response.aclose()
        await fetched(connections, httpx.Request("POST", url))
        assert [number for number, _ in server.requests] == [1, 2]


async def test_a_certificate_that_nobody_trusts_is_a_failure_to_connect() -> None:
    strangers = Connections(ssl.create_default_context())
    async with serving(replied(b"{}")) as (server, url):
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await strangers.handle_async_request(httpx.Request("POST", url))
        await strangers.aclose()
        assert server.requests == []


async def test_what_cannot_be_sent_is_not_sent(connections: Connections) -> None:
    async with serving(replied(b"{}")) as (server, url):
        with pytest.raises(httpx.LocalProtocolError):
            await connections.handle_async_request(httpx.Request("POST", url, headers={"x-acs-a": "b\r\nc: d"}))
        assert server.requests == []


@asynccontextmanager
async def talking(conversation: Conversation) -> AsyncIterator[str]:
    """Where every connection has this conversation, without TLS; the URL names the host and not its address."""
    async with conversing(conversation) as port:
        yield f"http://localhost:{port}/"


async def test_the_body_is_sent(connections: Connections) -> None:
    async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replied(await reader.readexactly(3)))

    async with talking(echoes) as url, asyncio.timeout(5):
        _, body = await fetched(connections, httpx.Request("POST", url, content=b"a=b"))
        assert body == b"a=b"


async def test_no_cookie_is_kept_for_a_host_with_a_name(connections: Connections) -> None:
    heads: list[bytes] = []

    async def gives_cookies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(replied(b"", b"Set-Cookie: a=b"))

    async with talking(gives_cookies) as url:
        for _ in range(2):
            response, _ = await fetched(connections, httpx.Request("POST", url))
            assert response.headers["set-cookie"] == "a=b"
        assert [b"cookie" in head.lower() for head in heads] == [False, False]
        await connections.aclose()


async def test_as_many_requests_are_sent_at_once_as_are_asked_for(connections: Connections) -> None:
    many, there, all_there = 101, 0, asyncio.Event()

    async def waits_for_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal there
        await reader.readuntil(b"\r\n\r\n")
        there += 1
        if there == many:
            all_there.set()
        await all_there.wait()
        writer.write(replied(b"{}"))

    async with talking(waits_for_all) as url, asyncio.timeout(10):
        answers = await asyncio.gather(*(fetched(connections, httpx.Request("POST", url)) for _ in range(many)))
        assert [body for _, body in answers] == [b"{}"] * many


class Hurried(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def test_there_is_no_time_limit_but_that_of_whoever_asks() -> None:
    async def takes_an_hour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Hurried)
        loop.ahead += 3600
        for _ in range(10):  # whatever is due by now has its turn
            await asyncio.sleep(0)
        writer.write(replied(b"late"))

    async def ask() -> bytes:
        connections = Connections(ssl.create_default_context())
        async with talking(takes_an_hour) as url:
            _, body = await fetched(connections, httpx.Request("POST", url))
            await connections.aclose()
            return body

    with asyncio.Runner(loop_factory=Hurried) as runner:
        assert runner.run(ask()) == b"late"


async def test_a_connection_is_kept_no_longer_than_is_said(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "KEEP_ALIVE", 0.0)
    async with serving(replied(b"{}")) as (server, url):
        for _ in range(2):
            await fetched(connections, httpx.Request("POST", url))
        assert [number for number, _ in server.requests] == [1, 2]


@pytest.mark.parametrize(("headers", "in_small_pieces"), [([b"content-encoding: gzip"], True), ([], False)])
async def test_only_what_is_packed_comes_in_small_pieces(
    connections: Connections, headers: list[bytes], *, in_small_pieces: bool
) -> None:
    async with serving(replied(b"x" * 1_000_000, *headers)) as (_, url):
        response = await connections.handle_async_request(httpx.Request("POST", url))
        pieces = [len(chunk) async for chunk in response.aiter_raw()]
        await response.aclose()
        assert sum(pieces) == 1_000_000
        assert (max(pieces) <= CHUNK_BYTES) is in_small_pieces


async def test_what_is_no_http_is_an_error_without_the_question_in_it(connections: Connections) -> None:
    async def mumbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"mumble\r\n\r\n")

    async with talking(mumbles) as url:
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await connections.handle_async_request(httpx.Request("POST", f"{url}?MediaId=quiet"))
        assert str(caught.value)
        assert "quiet" not in str(caught.value)


async def test_what_was_never_opened_and_what_is_closed_can_be_closed(connections: Connections) -> None:
    await connections.aclose()
    async with serving(replied(b"{}")) as (server, url):
        await fetched(connections, httpx.Request("POST", url))
        await connections.aclose()
        await connections.aclose()
        await fetched(connections, httpx.Request("POST", url))
        assert [number for number, _ in server.requests] == [1, 2]


async def test_a_response_knows_what_was_asked() -> None:
    direct = Direct(httpx.MockTransport(lambda _: httpx.Response(204)))
    request = httpx.Request("POST", "https://vod.cn-shanghai.aliyuncs.com/")
    response = await direct.send(request, auth=httpx.Auth(), stream=True)
    assert response.status_code == 204
    assert response.request is request
