from __future__ import annotations

import asyncio
import errno
import socket
import threading
from typing import Any

import pytest

from exporter.errors import UpstreamError
from exporter.vod.client import Client
from exporter.vod.network_errors import NetworkError
from exporter.vod.network_route import Resolver
from exporter.vod.rate_limits import AccountLimits
from exporter.vod.tcp_stream import Stream, connect
from tests.vod.fakes import FakeMeter, FakeSource, action
from tests.vod.servers import conversation_server
from tests.web.clients import PATIENCE

V4, V6 = socket.AF_INET, socket.AF_INET6


async def test_addresses_come_in_the_order_of_the_system() -> None:
    requested: list[tuple[Any, ...]] = []

    def getaddrinfo(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        requested.append((host, port, options))
        return [(V6, 1, 6, "", ("::1", port, 0, 0)), (V4, 1, 6, "", ("127.0.0.1", port))]

    assert await Resolver(getaddrinfo)("vod.example", 443) == [(V6, ("::1", 443, 0, 0)), (V4, ("127.0.0.1", 443))]
    assert requested == [("vod.example", 443, {"type": socket.SOCK_STREAM})]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "raw text"), "the name does not exist"),
        (socket.gaierror(socket.EAI_AGAIN, "raw text"), "no name server gave an answer"),
        (socket.gaierror(socket.EAI_FAIL, "raw text"), "a name server returned an error"),
        (OSError(errno.EAGAIN, "no thread can be started"), "no thread can be started"),
        (OSError(errno.EMFILE, "raw text"), "this process has too many files open"),
        (OSError(errno.EIO, "raw text"), "name resolution failed"),
        (UnicodeError("raw text"), "it is not a valid host name"),
    ],
)
async def test_why_a_name_was_not_resolved(error: Exception, reason: str) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise error

    with pytest.raises(NetworkError) as caught:
        await Resolver(getaddrinfo)("vod.example", 443)
    assert caught.value.message == f"the name vod.example was not resolved: {reason}"


async def test_names_that_hang_take_one_thread_each_and_no_one_elses_time() -> None:
    hang, started = threading.Event(), 0

    def getaddrinfo(*_: object, **__: object) -> list[tuple[Any, ...]]:
        nonlocal started
        started += 1
        hang.wait(60)
        return []

    async def no_sleep(_: float) -> None:
        await asyncio.sleep(0)

    resolve, meter = Resolver(getaddrinfo), FakeMeter()
    before = set(threading.enumerate())
    clients = [
        Client(
            f"account {number}",
            endpoint="http://vod.example",
            credentials=FakeSource(),
            limits=AccountLimits("main", requests_per_second=1e6, concurrency=4, meter=meter),
            timeout=0.05,
            meter=meter,
            resolve=resolve,
            variables={},
            sleep=no_sleep,
        )
        for number in range(50)
    ]
    try:
        results = await asyncio.gather(*(one.call(action(bytes), {}) for one in clients), return_exceptions=True)
        assert started == 1
        assert len(set(threading.enumerate()) - before) == 1
        # Work in the loop's own threads still runs immediately.
        assert await asyncio.to_thread(lambda: "rendered") == "rendered"
    finally:
        hang.set()
    for result in results:
        assert isinstance(result, UpstreamError)
        reason = "no complete response from vod.example:80 within 0.05 s: waited for name resolution of vod.example"
        assert (result.code, result.message) == ("timeout", reason)
    for client in clients:
        await client.aclose()


async def test_the_first_address_that_takes_the_connection_is_used() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as closing:
        closed = closing.getsockname()
    async with server, asyncio.timeout(PATIENCE):
        stream = await connect([(V4, closed), (V4, server.sockets[0].getsockname())])
        stream.close()
        with pytest.raises(ConnectionRefusedError):
            await connect([(V4, closed)])
        with pytest.raises(OSError, match=r"^$"):
            await connect([])


async def test_a_connection_without_tls_has_no_certificate_and_one_that_was_never_opened_is_not_quiet() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server, asyncio.timeout(PATIENCE):
        stream = await connect([(V4, server.sockets[0].getsockname())])
        assert stream.certificate() is None
        stream.close()
    assert Stream().certificate() is None
    assert not Stream().is_quiet


async def test_of_two_addresses_that_accept_at_the_same_moment_one_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def until_closed(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    loop, both, opened = asyncio.get_running_loop(), asyncio.Event(), list[socket.socket]()
    sock_connect = loop.sock_connect

    async def together(connecting: socket.socket, place: Any) -> None:
        opened.append(connecting)
        await sock_connect(connecting, place)
        if len(opened) == 2:
            both.set()
        await both.wait()

    monkeypatch.setattr(loop, "sock_connect", together)
    async with conversation_server(until_closed) as port, asyncio.timeout(PATIENCE):
        stream = await connect([(V4, ("127.0.0.1", port))] * 2)
        for _ in range(3):
            await asyncio.sleep(0)
        assert sorted(each.fileno() < 0 for each in opened) == [False, True]
        stream.close()


async def test_an_address_that_does_not_answer_is_not_waited_for() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        place = full.getsockname()
        # With a full backlog the system drops connection attempts, like a host that does not respond.
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)  # noqa: FBT003 - the name is the system's
            one.connect_ex(place)
        async with server, asyncio.timeout(PATIENCE):
            stream = await connect([(V4, place), (V4, server.sockets[0].getsockname())])
            stream.close()
            await asyncio.sleep(0)
        for one in waiting:
            one.close()
    assert reported == []
