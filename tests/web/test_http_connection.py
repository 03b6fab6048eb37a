"""Connection limits over real sockets; tests control the time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.connection_limits import ConnectionLimits
from tests.web.clients import PATIENCE, Client, Refused, parsed
from tests.web.harness import prepared, served

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
BODY = bytes(range(256)) * 40_000


async def large(_request: Request) -> Response:
    return Response(BODY)


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


class Shared(Response):
    """A response whose body is the same object for all clients."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(BODY)).encode())]}
        )
        await send({"type": "http.response.body", "body": BODY, "shared": True})


async def shared(_request: Request) -> Response:
    return Shared()


class Parts(Response):
    """A response in many parts, like a plain-text exposition."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        length = str(len(BODY)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        for begin in range(0, len(BODY), 65_536):
            await send({"type": "http.response.body", "body": BODY[begin : begin + 65_536], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def parts(_request: Request) -> Response:
    return Parts()


APP = Starlette(
    routes=[
        Route("/large", large),
        Route("/parts", parts),
        Route("/shared", shared),
        Route("/echo", echo, methods=["POST"]),
    ],
)
# For tests in which every connection shall time out; the others use a `Clock`.
QUICK = ConnectionLimits(request_seconds=0.2)


class Clock:
    """Stands still, except within `running`, where every time limit is reached soon."""

    def __init__(self) -> None:
        self.at = 1_000.0

    def __call__(self) -> float:
        return self.at

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async def advance() -> None:
            while True:
                self.at += 1
                await asyncio.sleep(0.01)

        advancing = asyncio.create_task(advance())
        try:
            yield
        finally:
            advancing.cancel()


@contextlib.asynccontextmanager
async def connected(
    port: int, context: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    name = "localhost" if context else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Read until the connection ends, even if it ends with an error."""
    whole = bytearray()
    with contextlib.suppress(OSError):  # TLS raises errors of its own for a connection that is cut off
        while piece := await reader.read(65_536):
            whole += piece
    return bytes(whole)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_a_response_of_many_chunks_arrives_complete(tmp_path: Path, *, tls: bool) -> None:
    path = prepared(tmp_path, TLS) if tls else None
    prepared(tmp_path, TLS)
    async with served(path, APP) as (port, _):
        for _ in range(2):
            assert (await Client(tls=tls, path="/large").fetch(port, tmp_path)).body == BODY


@pytest.mark.parametrize("few_connections", [0, 16], ids=["small pieces", "large pieces"])
async def test_a_response_arrives_complete_however_slowly_it_is_read(few_connections: int) -> None:
    async with (
        served(None, APP, ConnectionLimits(few_connections=few_connections)) as (port, _),
        connected(port) as (reader, writer),
    ):
        for _ in range(2):  # the connection can be used for the next request
            writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            got = bytearray()
            while len(got) < len(BODY):
                got += await reader.read(10_000 if len(got) < 200_000 else 1_000_000)
                await asyncio.sleep(0)
            assert got == BODY


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
    ],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
async def test_a_client_that_does_not_complete_its_request_is_disconnected(sent: bytes) -> None:
    async with served(None, APP, QUICK) as (port, _), connected(port) as (reader, writer):
        writer.write(sent)
        assert await rest(reader) == b""


async def test_the_time_limit_applies_to_a_second_request_too() -> None:
    clock = Clock()
    async with served(None, APP, monotonic=clock) as (port, _), connected(port) as (reader, writer):
        writer.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /lar")
        answer = await reader.readuntil(b"\r\n\r\n3")
        async with clock.running():
            assert await rest(reader) == b""
        assert parsed(answer).status == 200


async def test_the_time_limit_applies_to_a_pipelined_request_too() -> None:
    """Its body arrives byte by byte, which does not extend the time limit."""
    clock = Clock()
    async with served(None, APP, monotonic=clock) as (port, _), connected(port) as (reader, writer):
        writer.write(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            b"POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n"
        )
        assert b"\r\n\r\n3HTTP/1.1 405" in await reader.readuntil(b"Method Not Allowed")
        writer.write(b"x")
        async with clock.running():
            await rest(reader)


@pytest.mark.parametrize(
    ("head", "behind"),
    [
        (b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 7_000),
        (b"GET /large HTTP/1.1\r\nHost: a\r\nContent-Length: 250000\r\n\r\n", bytes(250_000)),
    ],
    ids=["requests", "a body"],
)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_a_client_that_sends_more_than_is_buffered_before_its_response_is_disconnected(
    head: bytes, behind: bytes, tmp_path: Path, *, tls: bool
) -> None:
    prepared(tmp_path, TLS)
    context = Client(tls=tls).context(tmp_path)
    async with (
        served(tmp_path / "web.yml" if tls else None, APP) as (port, _),
        connected(port, context) as (reader, writer),
    ):
        writer.write(head)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(behind)
        assert len(await rest(reader)) < len(BODY)
        assert (await Client(tls=tls, path="/large").fetch(port, tmp_path)).body == BODY


async def test_a_client_that_is_disconnected_before_its_response_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(None, APP) as (port, _), connected(port) as (reader, writer):
        writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 7_000)
        assert len(await rest(reader)) < len(BODY)
    assert caplog.messages == []


@pytest.mark.parametrize("path", ["/large", "/shared", "/parts"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_clients_that_reset_the_connection_are_not_logged(
    path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, tls: bool
) -> None:
    path_of_tls = prepared(tmp_path, TLS)
    context = Client(tls=tls).context(tmp_path)
    async with served(path_of_tls if tls else None, APP, ConnectionLimits(few_connections=0)) as (port, _):
        for _ in range(20):
            async with connected(port, context) as (reader, writer):
                writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 2)
                await reader.read(1)
                # Reset the connection, instead of closing it, while the response is being written.
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert caplog.records == []


async def test_pipelined_requests_are_all_answered() -> None:
    async with served(None, APP) as (port, _), connected(port) as (reader, writer):
        request = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        writer.write(request * 50 + request.replace(b"Host", b"Connection: close\r\nHost"))
        assert (await rest(reader)).count(b"\r\n\r\n3") == 51


async def test_a_client_that_does_not_complete_its_handshake_is_disconnected(tmp_path: Path) -> None:
    async with served(prepared(tmp_path, TLS), APP, QUICK) as (port, _), connected(port) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00")
        assert await rest(reader) == b""


async def test_a_client_that_is_idle_between_requests_stays_connected() -> None:
    clock = Clock()
    async with served(None, APP, monotonic=clock) as (port, _), connected(port) as (reader, writer):
        for _ in range(2):
            writer.write(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            assert (await reader.readuntil(b"\r\n\r\n3")).startswith(b"HTTP/1.1 200")
            async with connected(port) as (silent, _), clock.running():
                assert await rest(silent) == b"", "all time limits have passed"


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_only_the_client_that_does_not_read_is_disconnected(tmp_path: Path, *, tls: bool) -> None:
    path = prepared(tmp_path, TLS) if tls else None
    prepared(tmp_path, TLS)
    client, clock = Client(tls=tls, path="/large"), Clock()
    async with (
        served(path, APP, ConnectionLimits(few_connections=0), clock) as (port, _),
        connected(port, client.context(tmp_path)) as (reader, writer),
    ):
        writer.write(client.request())
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(client.fetch(port, tmp_path)) for _ in range(4)]
        assert all(other.result().body == BODY for other in others)
        clock.at += 31
        async with connected(port) as (silent, _), clock.running():
            assert await rest(silent) == b"", "the time limits were checked"
        assert len(await rest(reader)) < len(BODY)


async def test_above_the_buffer_limit_clients_that_do_not_read_lose_their_response(tmp_path: Path) -> None:
    limits = ConnectionLimits(max_buffered_bytes=len(BODY) * 2, few_connections=0)
    client = Client(tls=False, path="/large")
    async with served(None, APP, limits) as (port, _), contextlib.AsyncExitStack() as stack:
        stuck = [await stack.enter_async_context(connected(port)) for _ in range(6)]
        for reader, writer in stuck:
            writer.write(client.request())
            await reader.readuntil(b"\r\n\r\n")
        assert (await client.fetch(port, tmp_path)).body == BODY
        got = [len(await rest(reader)) for reader, _ in stuck]
        assert sum(size == len(BODY) for size in got) <= 2
        assert sum(size < len(BODY) for size in got) >= 4


async def test_of_a_shared_response_only_one_chunk_is_buffered_per_client() -> None:
    client = Client(tls=False, path="/shared")
    limits = ConnectionLimits(max_buffered_bytes=len(BODY) + 6 * 3 * 131_072, few_connections=0)
    async with served(None, APP, limits) as (port, _), contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connected(port)) for _ in range(6)]
        begun = []
        for reader, writer in slow:
            writer.write(client.request())
            begun.append(await reader.readuntil(b"\r\n\r\n"))
        for head, (reader, _) in zip(begun, slow, strict=True):
            assert parsed(head + await rest(reader)).body == BODY


async def test_many_connections_do_not_keep_a_new_client_out(tmp_path: Path) -> None:
    async with (
        served(None, APP, ConnectionLimits(connections=8)) as (port, _),
        contextlib.AsyncExitStack() as stack,
    ):
        tracker = [await stack.enter_async_context(connected(port)) for _ in range(40)]
        assert (await Client(tls=False, path="/large").fetch(port, tmp_path)).body == BODY
        assert [await rest(reader) for reader, _ in tracker[:32]] == [b""] * 32


async def test_many_new_connections_do_not_cut_off_a_response() -> None:
    async with served(None, APP, ConnectionLimits(connections=8)) as (port, _), connected(port) as (reader, writer):
        writer.write(Client(tls=False, path="/large").request())
        begun = await reader.readuntil(b"\r\n\r\n")
        async with contextlib.AsyncExitStack() as stack:
            tracker = [await stack.enter_async_context(connected(port)) for _ in range(40)]
            assert await rest(tracker[0][0]) == b""
            assert parsed(begun + await rest(reader)).body == BODY


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_a_head_that_is_too_large_is_rejected(tmp_path: Path, *, tls: bool) -> None:
    path = prepared(tmp_path, TLS) if tls else None
    prepared(tmp_path, TLS)
    async with served(path, APP) as (port, _):
        with contextlib.suppress(Refused):  # the response may be lost if the rest of the head is still in flight
            answer = await Client(tls=tls, path="/large", headers={"X-Large": "x" * 100_000}).fetch(port, tmp_path)
            assert answer.status == 400
        fitting = await Client(tls=tls, path="/large", headers={"X-Large": "x" * 12_000}).fetch(port, tmp_path)
        assert fitting.status == 200


@pytest.mark.parametrize("ends_with", [b"", b"POST /echo HTTP/1.1\r\n"], ids=["nothing", "another request"])
@pytest.mark.parametrize(("size", "status"), [(16_384, 200), (16_385, 400), (30_000, 400)])
async def test_the_size_of_a_head_is_limited_even_if_it_arrives_in_one_piece(
    size: int, status: int, ends_with: bytes
) -> None:
    async with served(None, APP) as (port, _), connected(port) as (reader, writer):
        head = b"GET /shared HTTP/1.1\r\nHost: a\r\nX-Large: "
        writer.write(head + b"x" * (size - len(head) - 4) + b"\r\n\r\n" + ends_with)
        assert parsed(await reader.readuntil(b"\r\n\r\n")).status == status


CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" + CHUNKED, 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"content-length: 3\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\n" + CHUNKED, 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\n" + CHUNKED.upper(), 400),
        (b"GET /shared HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 100, 400),
        (b"GET /shared HTTP/1.1\nHost: a\n" + b"a:\n" * 100, 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\n" + CHUNKED * 2, 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n", 400),
        (b"GET /shared HTTP/1.1\r\n", 400),
        (b"GET /shared HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        (b"GET /shared HTTP/1.1\r\nHost: a b\r\n", 400),
        (b"GET /shared HTTP/1.1\r\nHost: a/b\r\n", 400),
        (b"GET /shared HTTP/1.1\r\nHost: a\r\nX-A: a\0b\r\n", 400),
        (b"GET /shared HTTP/1.1\r\nHost: a\r\nX-A: a\rb\r\n", 400),
        (b"GET /shared HTTP/1.1\r\n folded\r\nHost: a\r\n", 400),
        (b"GET /shared HTTP/2.0\r\nHost: a\r\n", 505),
    ],
)
async def test_an_ambiguous_request_is_rejected_and_the_connection_closed(head: bytes, status: int) -> None:
    async with served(None, APP) as (port, _), connected(port) as (reader, writer):
        writer.write(head + b"\r\n")
        answer = parsed(await rest(reader))
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert "content-security-policy" in answer.headers


async def test_the_rejection_of_a_head_request_has_no_body() -> None:
    async with served(None, APP) as (port, _), connected(port) as (reader, writer):
        writer.write(b"HEAD /shared HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n")
        answer = parsed(await rest(reader))
        assert (answer.status, answer.body) == (400, b"")


@pytest.mark.parametrize(
    "head",
    [
        b"Host: [::1]:9985\r\n",
        b"Host: \r\n",
        b"Host: a\r\nX-A: one\r\n two\r\n",
        b"Host: a\r\nX-A: transfer-encoding: chunked\r\n",
        b"Host: a\r\n" + b"a:\r\n" * 98,
        b"Host: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n",
    ],
    ids=["IPv6", "empty", "folded", "a value", "as many headers as allowed", "twice the same length"],
)
async def test_an_unambiguous_request_is_answered(head: bytes) -> None:
    async with served(None, APP) as (port, _), connected(port) as (reader, writer):
        writer.write(b"GET /large HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n")
        assert parsed(await rest(reader)).body == BODY


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_a_response_stops_when_its_client_disconnects(tmp_path: Path, *, tls: bool) -> None:
    given = 0
    gone, ended = asyncio.Event(), asyncio.Event()

    class Endless(Response):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
            nonlocal given
            await send({"type": "http.response.start", "status": 200, "headers": []})
            try:
                while True:
                    given += gone.is_set()
                    await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            finally:
                ended.set()

    async def endless(_request: Request) -> Response:
        return Endless()

    prepared(tmp_path, TLS)
    app = Starlette(routes=[Route("/", endless)])
    async with served(tmp_path / "web.yml" if tls else None, app) as (port, _):
        async with connected(port, Client(tls=tls).context(tmp_path)) as (reader, writer):
            writer.write(Client(path="/").request())
            await reader.readuntil(b"\r\n\r\n")
        gone.set()
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    assert given <= 100, "otherwise the response would never end"


async def test_the_server_stops_immediately_despite_an_incomplete_request(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with served(prepared(tmp_path, TLS), APP) as (port, _):
            reader, _ = await stack.enter_async_context(connected(port))
        assert await rest(reader) == b""


@pytest.mark.parametrize("path", ["/large", "/shared", "/parts", "/waiting"])
async def test_a_response_that_is_cut_off_by_stopping_logs_no_traceback(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("exporter.web.server.GRACE_SECONDS", 0)
    requested = asyncio.Event()

    async def waiting(_request: Request) -> Response:
        requested.set()
        await asyncio.Event().wait()
        return Response()

    app = Starlette(routes=[*APP.routes, Route("/waiting", waiting)])
    async with contextlib.AsyncExitStack() as clients:
        async with served(None, app, ConnectionLimits(few_connections=0)) as (port, _):
            reader, writer = await clients.enter_async_context(connected(port))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            if path == "/waiting":
                await requested.wait()
            else:
                await reader.readexactly(1)
        assert len(await rest(reader)) < len(BODY)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) <= 1


async def test_a_tls_session_ends_with_close_notify(tmp_path: Path) -> None:
    async with served(prepared(tmp_path, TLS), APP) as (port, _):
        context = Client().context(tmp_path)
        assert context
        # Without close_notify, Python's ssl reports a truncation attack.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        async with connected(port, context) as (reader, writer):
            writer.write(Client(path="/large").request())
            assert (await reader.read(-1)).endswith(BODY)


async def test_tls_sessions_are_not_resumed(tmp_path: Path) -> None:
    """Otherwise a client certificate would stay accepted after it was revoked by the configuration."""
    async with served(prepared(tmp_path, TLS), APP) as (port, _):

        def reused(version: ssl.TLSVersion) -> bool:
            import socket  # noqa: PLC0415 - the plain one, for a session that asyncio does not hand out

            context = Client().context(tmp_path)
            assert context
            context.maximum_version = version
            session: ssl.SSLSession | None = None
            resumed: bool | None = True
            for _ in range(2):
                with (
                    socket.create_connection(("127.0.0.1", port)) as raw,
                    context.wrap_socket(raw, server_hostname="localhost", session=session) as secured,
                ):
                    secured.sendall(Client(path="/large").request())
                    while secured.recv(65_536):
                        pass
                    session, resumed = secured.session, secured.session_reused
            return bool(resumed)

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert not await asyncio.to_thread(reused, version)
