"""Requests are sent unchanged and connections are reused; failures are tested in test_client_network.py."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from exporter.vod import network_errors
from exporter.vod import transport as transports
from exporter.vod.network_errors import ConnectionLost, NetworkError
from exporter.vod.network_route import Resolver, Route
from exporter.vod.proxies import Proxy
from exporter.vod.response_head import LARGEST_HEAD, read_head
from exporter.vod.tcp_stream import Stream
from exporter.vod.transport import CHUNK_BYTES, PooledTransport
from tests.vod.fakes import AdvanceableLoop, put_forward
from tests.vod.servers import conversation_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from tests.vod.servers import Conversation

AUTHORITY = trustme.CA()


@dataclass
class Server:
    """Returns the same bytes for every request, over TLS; records the requests by connection."""

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
    async with conversation_server(server.serve, context) as port:
        yield server, f"https://127.0.0.1:{port}/"


def this_machine(_: str, port: int, **options: Any) -> Sequence[tuple[Any, ...]]:
    """Resolve every name to loopback: even localhost is unknown to a machine without /etc/hosts."""
    return socket.getaddrinfo("127.0.0.1", port, **options)


class TransportToAnyHost(httpx.AsyncBaseTransport):
    """Connections to the host of the first request, whose port is not known in advance."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context or ssl.create_default_context()
        self._connections: PooledTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._connections is None:
            url = request.url
            route = Route(url.scheme, url.host, url.port or 0, None, self._context, Resolver(this_machine))
            self._connections = PooledTransport(route)
        return await self._connections.handle_async_request(request)

    async def aclose(self) -> None:
        if self._connections is not None:
            await self._connections.aclose()


@pytest.fixture
async def connections() -> AsyncIterator[TransportToAnyHost]:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    transport = TransportToAnyHost(context)
    yield transport
    await transport.aclose()


async def fetched(connections: httpx.AsyncBaseTransport, request: httpx.Request) -> tuple[httpx.Response, bytes]:
    response = await connections.handle_async_request(request)
    body = b"".join([chunk async for chunk in response.aiter_raw()])
    await response.aclose()
    return response, body


async def test_what_was_signed_is_sent_byte_for_byte_and_nothing_is_added(connections: TransportToAnyHost) -> None:
    async with serving(replied(b"{}")) as (server, url):
        request = httpx.Request("POST", f"{url}?MediaId=a%20b%2B%2A~%E4%BD%A0&T=%7E", headers={"x-acs-Action": "A b"})
        await fetched(connections, request)

        (_, sent), *_ = server.requests
        first, *headers = sent.decode().rstrip().split("\r\n")
        assert first == "POST /?MediaId=a%20b%2B%2A~%E4%BD%A0&T=%7E HTTP/1.1"
        authority = url.removeprefix("https://").rstrip("/")
        assert sorted(headers, key=str.lower) == ["Content-Length: 0", f"Host: {authority}", "x-acs-Action: A b"]


async def test_the_answer_comes_as_it_was_sent(connections: TransportToAnyHost) -> None:
    answer = replied(b"\x1f\x8b not gzip", b"Content-Encoding: gzip", b"X-Twice: 1", b"X-Twice: 2", b"Set-Cookie: a=b")
    async with serving(answer) as (server, url):
        response, body = await fetched(connections, httpx.Request("POST", url))
        await fetched(connections, httpx.Request("POST", url))

        assert (response.status_code, body) == (200, b"\x1f\x8b not gzip")
        assert response.headers.get_list("x-twice") == ["1", "2"]
        assert b"Cookie" not in server.requests[1][1]


async def test_redirects_are_answers(connections: TransportToAnyHost) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    async with serving(moved) as (server, url):
        response, _ = await fetched(connections, httpx.Request("POST", url))
        assert (response.status_code, len(server.requests)) == (302, 1)


async def test_a_connection_is_used_again_once_its_answer_was_read(connections: TransportToAnyHost) -> None:
    async with serving(replied(b"x" * 100_000)) as (server, url):
        for _ in range(3):
            await fetched(connections, httpx.Request("POST", url))
        assert [number for number, _ in server.requests] == [1, 1, 1]

        await asyncio.gather(*(fetched(connections, httpx.Request("POST", url)) for _ in range(3)))
        assert server.connections == 3


async def test_a_connection_whose_answer_was_not_read_is_closed(connections: TransportToAnyHost) -> None:
    async with serving(replied(b"x" * 10_000_000)) as (server, url):
        response = await connections.handle_async_request(httpx.Request("POST", url))
        await response.aclose()
        await fetched(connections, httpx.Request("POST", url))
        assert [number for number, _ in server.requests] == [1, 2]


async def test_an_untrusted_certificate_is_a_failure_to_connect() -> None:
    strangers = TransportToAnyHost()
    async with serving(replied(b"{}")) as (server, url):
        with pytest.raises(NetworkError, match="its certificate is rejected"):
            await strangers.handle_async_request(httpx.Request("POST", url))
        await strangers.aclose()
        assert server.requests == []


@pytest.mark.parametrize("value", ["b\r\nc: d", "b\0", "b\vc"])
async def test_what_cannot_be_sent_is_not_sent(connections: TransportToAnyHost, value: str) -> None:
    async with serving(replied(b"{}")) as (server, url):
        with pytest.raises(NetworkError, match=r"^the request cannot be written as HTTP$"):
            await connections.handle_async_request(httpx.Request("POST", url, headers={"x-acs-a": value}))
        assert server.requests == []


@asynccontextmanager
async def conversation_url(conversation: Conversation) -> AsyncIterator[str]:
    """A server whose connections run this conversation, without TLS; the URL contains a host name."""
    async with conversation_server(conversation) as port:
        yield f"http://vod.example:{port}/"


async def test_the_body_is_sent(connections: TransportToAnyHost) -> None:
    async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replied(await reader.readexactly(3)))

    async with conversation_url(echoes) as url:
        _, body = await fetched(connections, httpx.Request("POST", url, content=b"a=b"))
        assert body == b"a=b"


async def test_no_cookie_is_kept_for_a_host_with_a_name(connections: TransportToAnyHost) -> None:
    heads: list[bytes] = []

    async def gives_cookies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(replied(b"", b"Set-Cookie: a=b"))

    async with conversation_url(gives_cookies) as url:
        for _ in range(2):
            response, _ = await fetched(connections, httpx.Request("POST", url))
            assert response.headers["set-cookie"] == "a=b"
        assert [b"cookie" in head.lower() for head in heads] == [False, False]
        await connections.aclose()


async def test_requests_are_sent_concurrently(connections: TransportToAnyHost) -> None:
    many, there, all_there = 101, 0, asyncio.Event()

    async def waits_for_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal there
        await reader.readuntil(b"\r\n\r\n")
        there += 1
        if there == many:
            all_there.set()
        await all_there.wait()
        writer.write(replied(b"{}"))

    async with conversation_url(waits_for_all) as url:
        answers = await asyncio.gather(*(fetched(connections, httpx.Request("POST", url)) for _ in range(many)))
        assert [body for _, body in answers] == [b"{}"] * many


def test_the_transport_has_no_timeout_of_its_own() -> None:
    async def takes_an_hour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        put_forward(3600)
        for _ in range(10):  # whatever is due by now has its turn
            await asyncio.sleep(0)
        writer.write(replied(b"late"))

    async def call_once() -> bytes:
        connections = TransportToAnyHost()
        async with conversation_url(takes_an_hour) as url:
            _, body = await fetched(connections, httpx.Request("POST", url))
            await connections.aclose()
            return body

    with asyncio.Runner(loop_factory=AdvanceableLoop) as runner:
        assert runner.run(call_once()) == b"late"


def test_a_connection_that_is_in_use_again_does_not_expire() -> None:
    async def takes_an_hour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replied(b"first"))
        await reader.readuntil(b"\r\n\r\n")
        put_forward(3600)
        for _ in range(10):
            await asyncio.sleep(0)
        writer.write(replied(b"second"))

    async def call_twice() -> list[bytes]:
        connections = TransportToAnyHost()
        async with conversation_url(takes_an_hour) as url:
            bodies = [(await fetched(connections, httpx.Request("POST", url)))[1] for _ in range(2)]
            await connections.aclose()
            return bodies

    with asyncio.Runner(loop_factory=AdvanceableLoop) as runner:
        assert runner.run(call_twice()) == [b"first", b"second"]


@pytest.mark.parametrize("header", [b"Connection: close", b"Connection: keep-alive"])
async def test_a_connection_that_the_server_will_close_is_not_used_again(
    connections: TransportToAnyHost, header: bytes
) -> None:
    async with serving(replied(b"{}", header)) as (server, url):
        for _ in range(2):
            await fetched(connections, httpx.Request("POST", url))
        assert [number for number, _ in server.requests] == ([1, 2] if b"close" in header else [1, 1])


@pytest.mark.parametrize(("authorization", "sent"), [("Basic dTpw", ["Proxy-Authorization: Basic dTpw"]), ("", [])])
async def test_a_request_through_a_proxy_names_the_endpoint_and_has_its_credentials(
    authorization: str, sent: list[str]
) -> None:
    heads: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(replied(b"{}"))

    async with conversation_server(proxy) as port:
        through = Proxy("http", "127.0.0.1", port, "http_proxy", authorization)
        connections = PooledTransport(Route("http", "vod.example", 80, through, None, Resolver()))
        await fetched(connections, httpx.Request("POST", "http://vod.example/?a=b"))
        await connections.aclose()
    first, *headers = heads[0].decode().rstrip().split("\r\n")
    assert first == "POST http://vod.example/?a=b HTTP/1.1"
    assert [each for each in headers if each.lower().startswith("proxy")] == sent


async def test_a_proxy_that_wants_other_credentials_is_an_error_and_no_response() -> None:
    refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with conversation_server(as_raw(refused)) as port:
        through = Proxy("http", "127.0.0.1", port, "http_proxy")
        connections = PooledTransport(Route("http", "vod.example", 80, through, None, Resolver()))
        with pytest.raises(NetworkError, match=r"wants other credentials \(HTTP 407\)"):
            await fetched(connections, httpx.Request("POST", "http://vod.example/"))


async def test_without_a_proxy_its_status_is_a_response(connections: TransportToAnyHost) -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with conversation_url(as_raw(answer)) as url:
        response, _ = await fetched(connections, httpx.Request("POST", url))
        assert response.status_code == 407


async def test_a_response_that_is_cut_off_is_no_answer(connections: TransportToAnyHost) -> None:
    async with conversation_url(as_raw(replied(b"{}")[:-1], closes=True)) as url:
        with pytest.raises(NetworkError, match="in the middle of the response"):
            await fetched(connections, httpx.Request("POST", url))


async def test_a_connection_is_kept_no_longer_than_keep_alive(
    connections: TransportToAnyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "KEEP_ALIVE", 0.0)
    async with serving(replied(b"{}")) as (server, url):
        for _ in range(2):
            await fetched(connections, httpx.Request("POST", url))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert [number for number, _ in server.requests] == [1, 2]


@pytest.mark.parametrize(("headers", "in_small_pieces"), [([b"content-encoding: gzip"], True), ([], False)])
async def test_only_what_is_packed_comes_in_small_pieces(
    connections: TransportToAnyHost, headers: list[bytes], *, in_small_pieces: bool
) -> None:
    async with serving(replied(b"x" * 1_000_000, *headers)) as (_, url):
        response = await connections.handle_async_request(httpx.Request("POST", url))
        pieces = [len(chunk) async for chunk in response.aiter_raw()]
        await response.aclose()
        assert sum(pieces) == 1_000_000
        assert (max(pieces) <= CHUNK_BYTES) is in_small_pieces


def as_raw(data: bytes, *, then: bytes | None = None, closes: bool = False) -> Conversation:
    """Respond with these bytes to each request; `then` is sent when the client has had time to read them."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()
            if closes:
                return
            if then is not None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(then)

    return conversation


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"mumble\r\n\r\n", "its status line is not that of HTTP/1.1"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "its status line is not that of HTTP/1.1"),
        (b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}", "its status line is not that of HTTP/1.1"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", "a line of its head ends with a line feed alone"),
        (b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\r\n{}", "a line of its head ends with a line feed alone"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", "a header is folded"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nContent-Length: 2\r\n\r\n{}", "a header is folded"),
        (b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 2\r\n\r\n{}", "a line of its head is not a header"),
        (b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\n{}", "a line of its head is not a header"),
        (b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\n{}", "a line of its head is not a header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "its headers contradict each other"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "it has both Content-Length and Transfer-Encoding",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: a:b\r\n\r\n{}",
            "it has both Content-Length and Transfer-Encoding",
        ),
        (
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "it is HTTP/1.0, which has no Transfer-Encoding",
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "its status line is not that of HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00", "its status line is not that of HTTP/1.1"),
        (b"\r\nHTTP/1.1 200 OK\r\n", "its status line is not that of HTTP/1.1"),
        (b"{", "its status line is not that of HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", "its headers contradict each other"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 65_536 + b"\r\n\r\n", "its head is longer than 65536 bytes"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000, "its head is longer than 65536 bytes"),
    ],
)
async def test_what_is_not_http_to_the_letter_is_not_believed(
    connections: TransportToAnyHost, head: bytes, reason: str
) -> None:
    async with conversation_url(as_raw(head)) as url:
        with pytest.raises(NetworkError) as caught:
            await connections.handle_async_request(httpx.Request("POST", f"{url}?MediaId=quiet"))
        assert caught.value.message == f"the response is not valid HTTP: {reason}"
        assert caught.value.code == "malformed"


async def test_a_body_whose_parts_lie_about_their_length_is_not_believed(connections: TransportToAnyHost) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    async with conversation_url(as_raw(answer)) as url:
        response = await connections.handle_async_request(httpx.Request("POST", url))
        with pytest.raises(NetworkError, match="lengths") as caught:
            await response.aread()
        assert caught.value.code == "malformed"
        await response.aclose()


async def test_headers_may_be_long(connections: TransportToAnyHost) -> None:
    async with conversation_url(as_raw(replied(b"{}", b"X-Long: " + b"x" * 60_000))) as url:
        response, body = await fetched(connections, httpx.Request("POST", url))
        assert (len(response.headers["x-long"]), body) == (60_000, b"{}")


async def head_of(*parts: bytes) -> bytes | None:
    """The head that is read from a stream that receives these parts one after the other and ends."""
    stream = Stream()
    reading = asyncio.ensure_future(read_head(stream))
    for part in parts:
        await asyncio.sleep(0)
        stream.data_received(part)
    await asyncio.sleep(0)
    stream.eof_received()
    return await reading


async def test_a_head_may_be_divided_anywhere() -> None:
    head = b"HTTP/1.1 200\r\nA: b\r\n\r\n"
    for at in range(1, len(head)):
        assert await head_of(head[:at], head[at:] + b"body") == head
        with pytest.raises(NetworkError, match="closed in the middle of the headers"):
            await head_of(head[:at])
    assert await head_of() is None
    with pytest.raises(NetworkError, match="status line"):
        await head_of(b"\r\n\r\n")


async def test_a_head_has_its_largest_length_and_no_more() -> None:
    head = b"HTTP/1.1 200 OK\r\nA: ".ljust(LARGEST_HEAD, b"x")
    end = b"\r\n\r\n"
    assert await head_of(head, end) == head + end
    with pytest.raises(NetworkError, match=f"longer than {LARGEST_HEAD} bytes"):
        await head_of(head + b"x" + end)


async def test_interim_answers_are_passed_over(connections: TransportToAnyHost) -> None:
    async with conversation_url(as_raw(b"HTTP/1.1 100 Continue\r\n\r\n" + replied(b"{}"))) as url:
        _, body = await fetched(connections, httpx.Request("POST", url))
        assert body == b"{}"


@pytest.mark.parametrize("extra", [replied(b"copy"), b"x", b"\r\n"])
async def test_a_connection_with_unsolicited_data_is_not_reused(connections: TransportToAnyHost, extra: bytes) -> None:
    opened = 0

    async def answers_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        body = b"answer %d" % opened
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replied(body) + extra)
        await reader.read()

    async with conversation_url(answers_twice) as url:
        bodies = [(await fetched(connections, httpx.Request("POST", url)))[1] for _ in range(3)]
        assert bodies == [b"answer 1", b"answer 2", b"answer 3"]


async def test_data_received_while_idle_closes_the_connection(connections: TransportToAnyHost) -> None:
    arrived, opened = asyncio.Event(), 0

    async def says_it_again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        body = b"answer %d" % opened
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replied(body))
        await arrived.wait()
        writer.write(replied(body))
        await reader.read()

    async with conversation_url(says_it_again) as url:
        first = (await fetched(connections, httpx.Request("POST", url)))[1]
        arrived.set()
        for _ in range(3):  # until it was sent; whether the event loop has read it or not
            await asyncio.sleep(0)
        second = (await fetched(connections, httpx.Request("POST", url)))[1]
        assert (first, second) == (b"answer 1", b"answer 2")


async def test_a_connection_closed_while_idle_is_not_reused(connections: TransportToAnyHost) -> None:
    opened = 0

    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await as_raw(replied(b"{}"), closes=True)(reader, writer)

    async with conversation_url(closes) as url:
        await fetched(connections, httpx.Request("POST", url))
        for _ in range(5):
            await asyncio.sleep(0)
        await fetched(connections, httpx.Request("POST", url))
        assert opened == 2


def closing_on_second_request(*, reset: bool = False) -> tuple[Conversation, list[bytes]]:
    """The first connection is closed after its second request has arrived; later connections respond."""
    heads: list[bytes] = []
    opened = 0

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        first = opened == 1
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            if first and len(heads) == 2:
                if reset:
                    writer.transport.abort()
                return
            writer.write(replied(b"{}"))

    return conversation, heads


@pytest.mark.parametrize("reset", [False, True])
async def test_a_reused_connection_that_was_closed_is_recognized(
    connections: TransportToAnyHost, *, reset: bool
) -> None:
    conversation, heads = closing_on_second_request(reset=reset)
    async with conversation_url(conversation) as url:
        await fetched(connections, httpx.Request("POST", url))
        with pytest.raises(ConnectionLost):
            await fetched(connections, httpx.Request("POST", url))
        assert len(heads) == 2


async def test_a_new_connection_that_is_closed_is_no_lost_one(connections: TransportToAnyHost) -> None:
    async def closes(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with conversation_url(closes) as url:
        with pytest.raises(NetworkError, match=r"^the connection was closed before the response$") as caught:
            await fetched(connections, httpx.Request("POST", url))
        assert not isinstance(caught.value, ConnectionLost)


async def test_a_connection_is_not_kept_after_an_answer_that_was_discarded(connections: TransportToAnyHost) -> None:
    async with serving(replied(b"{}")) as (server, url):
        response = await connections.handle_async_request(httpx.Request("POST", url))
        await response.aread()
        response.extensions["discard"]()
        await response.aclose()
        await fetched(connections, httpx.Request("POST", url))
        assert [number for number, _ in server.requests] == [1, 2]


async def test_what_was_never_opened_and_what_is_closed_can_be_closed(connections: TransportToAnyHost) -> None:
    await connections.aclose()
    async with serving(replied(b"{}")) as (server, url):
        await fetched(connections, httpx.Request("POST", url))
        await connections.aclose()
        await connections.aclose()
        await fetched(connections, httpx.Request("POST", url))
        assert [number for number, _ in server.requests] == [1, 2]


async def test_when_one_kept_connection_is_lost_no_other_of_them_is_used(connections: TransportToAnyHost) -> None:
    heads = 0
    both, opened = asyncio.Event(), 0

    async def ends_on_second_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heads, opened
        opened += 1
        await reader.readuntil(b"\r\n\r\n")
        if opened >= 2:
            both.set()
        await both.wait()
        writer.write(replied(b"{}"))
        await reader.readuntil(b"\r\n\r\n")
        heads += 1

    async with conversation_url(ends_on_second_request) as url:
        await asyncio.gather(*(fetched(connections, httpx.Request("POST", url)) for _ in range(2)))
        with pytest.raises(ConnectionLost):
            await fetched(connections, httpx.Request("POST", url))
        assert (await fetched(connections, httpx.Request("POST", url)))[1] == b"{}"
        assert (opened, heads) == (3, 1)


WRONG_NAME = "Check the spelling"
WRONG_ADDRESS = "Check that host and port are right"
NO_TLS = f"{WRONG_ADDRESS} and support TLS"


@pytest.mark.parametrize(
    ("error", "reason", "advice"),
    [
        (socket.gaierror(socket.EAI_NONAME, "raw"), "the name does not exist", WRONG_NAME),
        (socket.gaierror(socket.EAI_MEMORY, "raw"), "name resolution failed", WRONG_NAME),
        (OSError(errno.EMFILE, "raw"), "this process has too many files open", "Let this process open"),
    ],
)
def test_a_name_that_is_not_resolved_has_a_reason_and_advice(error: OSError, reason: str, advice: str) -> None:
    failure = network_errors.unresolved("a.test", error)
    assert failure.message == f"the name a.test was not resolved: {reason}"
    assert failure.advice.startswith(advice)


@pytest.mark.parametrize(
    ("error", "reason", "advice"),
    [
        (OSError(errno.ECONNREFUSED, "raw"), "the connection was refused", WRONG_ADDRESS),
        (OSError(errno.EPERM, "raw"), "this machine does not allow it", "Allow outgoing connections"),
        (OSError(errno.EIO, "raw"), "Input/output error", WRONG_ADDRESS),
        (OSError("raw"), "it failed", WRONG_ADDRESS),
    ],
)
def test_a_connection_that_fails_has_a_reason_and_advice(error: OSError, reason: str, advice: str) -> None:
    failure = network_errors.unconnected("the proxy", error)
    assert failure.message == f"cannot connect to the proxy: {reason}"
    assert failure.advice.startswith(advice)


@pytest.mark.parametrize(
    ("make_error", "message", "advice"),
    [
        (
            lambda: network_errors.no_tls("a.test", ConnectionResetError(errno.ECONNRESET, "raw")),
            "TLS handshake with a.test: the connection was reset",
            NO_TLS,
        ),
        (
            lambda: network_errors.no_tls("a.test", ConnectionResetError()),
            "TLS handshake with a.test: the connection was closed",
            NO_TLS,
        ),
        (lambda: network_errors.untrusted("a.test", "why", "Do."), "TLS handshake with a.test: why", "Do."),
        (lambda: network_errors.closed("too early"), "the connection was closed too early", "Usually temporary."),
        (network_errors.lost, "the connection was closed before the response", "Usually temporary."),
        (lambda: network_errors.no_http("why"), "the response is not valid HTTP: why", "Check that the endpoint is Al"),
        (network_errors.unsendable, "the request cannot be written as HTTP", "Check the endpoint of the account"),
    ],
)
def test_a_failure_of_the_network_has_a_reason_and_advice(
    make_error: Callable[[], NetworkError], message: str, advice: str
) -> None:
    error = make_error()
    assert error.message == message
    assert error.advice.startswith(advice)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("WRONG_VERSION_NUMBER", "it does not speak TLS"),
        ("TLSV1_UNRECOGNIZED_NAME", "it does not serve that host name"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "it accepts none of the cipher suites, or requires a client certificate"),
        ("NEW_ALERT", "OpenSSL says NEW_ALERT"),
        ("raw text", "it failed"),
        (None, "it failed"),
    ],
)
def test_a_failed_handshake_is_explained_by_openssl_s_word(word: str | None, reason: str) -> None:
    failure = ssl.SSLError(1, "raw")
    failure.reason = word  # type: ignore[assignment]  # None where OpenSSL gives none
    assert network_errors.no_tls("the endpoint", failure).message == f"TLS handshake with the endpoint: {reason}"
