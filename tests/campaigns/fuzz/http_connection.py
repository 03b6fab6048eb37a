"""The bytes of a client over an in-memory connection: responses of HTTP/1.1, or none."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import h11
import uvicorn
from uvicorn.server import ServerState

from exporter.web.access.basic_auth import BasicAuth
from exporter.web.access.middleware import with_access_control
from exporter.web.access.policy import WebPolicy
from exporter.web.access.settings import WebSettings
from exporter.web.connection_limits import ConnectionLimits
from exporter.web.connection_tracker import ConnectionTracker
from exporter.web.http_connection import CLIENTS_LOGGER, HttpConnection
from exporter.web.routes import routes
from tests.campaigns.fuzz.status_source import Shown
from tests.campaigns.fuzz.target import SEEDS, Target

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from starlette.types import ASGIApp

    from tests.campaigns.fuzz.target import Try

USER: Final = "prometheus"
PASSWORD: Final = b"correct horse"
# The possible status codes; 500 only for a reload, which always fails here.
STATUSES: Final = frozenset({200, 400, 401, 404, 405, 500, 503, 505})
_REFUSED: Final = b"Failed to reload; the previous configuration is still in use.\n"
# Seconds until a request counts as never answered. Only ends a test that hangs: some answers wait for a thread.
_PATIENCE: Final = 300.0
_PIECE: Final = 7


@dataclass
class Wire(asyncio.Transport):
    """The client's end of a connection: what was written to it, and whether it was closed."""

    loop: asyncio.AbstractEventLoop
    written: bytearray = field(default_factory=bytearray)
    protocol: asyncio.Protocol | None = None
    closed: bool = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 9985)}.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The client reads everything immediately."""

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, f"written after the end: {bytes(data)[:80]!r}"
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed and self.protocol is not None:
            self.closed = True
            self.loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        """No further data arrives."""

    def resume_reading(self) -> None:
        """No further data arrives."""


class LoggedErrors(logging.Handler):
    """Records the errors that uvicorn and asyncio log; a client's error is only a warning."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.responses: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.responses.append(self.format(record))


@dataclass
class ServedConnection:
    """The application with and without a password, and the loop it runs in."""

    loop: asyncio.AbstractEventLoop
    logged_errors: LoggedErrors = field(default_factory=LoggedErrors)
    shown: Shown = field(default_factory=Shown)

    def __post_init__(self) -> None:
        app = routes(self.shown, reload=self.shown.reload)
        users = WebSettings(users={USER: b"not a hash, and never used"})
        self.open = self._config(with_access_control(app, _always(WebPolicy())))
        passwords = BasicAuth(check=lambda password, _: password == PASSWORD, key=b"k")
        self.secured = self._config(with_access_control(app, _always(WebPolicy(users)), basic_auth=passwords))

    @staticmethod
    def _config(app: ASGIApp) -> uvicorn.Config:
        config = uvicorn.Config(
            app,
            interface="asgi3",
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=ConnectionLimits().header_bytes,
        )
        config.load()
        return config

    def say(self, config: uvicorn.Config, pieces: Iterable[bytes]) -> bytes:
        """Send pieces, each after the effects of the ones before; returns the response bytes."""
        return self.loop.run_until_complete(self._say(config, pieces))

    async def _say(self, config: uvicorn.Config, pieces: Iterable[bytes]) -> bytes:
        tracker, state, wire = ConnectionTracker(ConnectionLimits()), ServerState(), Wire(self.loop)
        connection = HttpConnection(config, state, {}, self.loop, tracker=tracker)
        wire.protocol = connection
        connection.connection_made(wire)
        for piece in pieces:
            if wire.is_closing():
                break
            connection.data_received(piece)
            await self._idle(state)
        await self._idle(state)
        if not wire.is_closing():
            connection.eof_received()
            wire.close()
        await asyncio.sleep(0)
        await self._idle(state)
        await asyncio.sleep(0)
        assert not len(tracker), "a connection that has gone is still counted"
        assert not state.connections, "a connection that has gone is still kept"
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, f"tasks are left: {others}"
        connection.timeout_keep_alive_task = None
        return bytes(wire.written)

    @staticmethod
    async def _idle(state: ServerState) -> None:
        while state.tasks:
            _, unanswered = await asyncio.wait(state.tasks, timeout=_PATIENCE)
            assert not unanswered, "no answer, and no end"
            await asyncio.sleep(0)


def try_one(fuzz_input: bytes, door: ServedConnection) -> None:
    """Every response is valid, expected, and independent of how the bytes are divided."""
    secured = b"secured" in fuzz_input
    config = door.secured if secured else door.open
    responses = door.say(config, [fuzz_input])
    decoded = answers(responses, fuzz_input)
    pieces = [fuzz_input[begin : begin + _PIECE] for begin in range(0, len(fuzz_input), _PIECE)]
    in_pieces = answers(door.say(config, pieces), fuzz_input)
    logged_errors, door.logged_errors.responses = door.logged_errors.responses, []
    assert not logged_errors, logged_errors[0]
    assert decoded == in_pieces, f"whole: {decoded}, in pieces: {in_pieces}"


def answers(responses: bytes, fuzz_input: bytes) -> list[int]:
    """The status of each response, parsed by h11 as a client, which rejects invalid HTTP."""
    found = []
    rest = responses
    for method in (*_methods(fuzz_input), b"GET"):
        if not rest:
            break
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        client.receive_data(rest)
        head, body = _read(client)
        check_answer(head, body, method)
        found.append(head.status_code)
        rest = client.trailing_data[0]
    assert not rest, f"more than was requested: {rest[:200]!r}"
    return found


def _read(client: h11.Connection) -> tuple[h11.Response, bytes]:
    head: h11.Response | None = None
    body = b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(b"")
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or event is h11.PAUSED:
            assert head is not None, "an answer without a beginning"
            return head, body


def check_answer(head: h11.Response, body: bytes, method: bytes) -> None:
    """An expected response without internals such as a traceback."""
    headers = dict(head.headers)
    assert head.status_code in STATUSES, head.status_code
    assert head.status_code != 500 or body.startswith(_REFUSED) or method == b"HEAD", body[:500]
    if headers.get(b"content-encoding") == b"gzip" and body:
        body = gzip.decompress(body)
    assert b"Traceback" not in body, body[:500]
    if head.status_code != 400:
        assert headers.get(b"x-content-type-options") == b"nosniff", headers


def _methods(fuzz_input: bytes) -> list[bytes]:
    """The methods of the requests as h11 parses them as a server."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=ConnectionLimits().header_bytes)
    server.receive_data(fuzz_input)
    found: list[bytes] = []
    try:
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                found.append(event.method)
            elif event is h11.PAUSED and server.their_state is h11.DONE and server.our_state is h11.SEND_RESPONSE:
                server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                server.send(h11.EndOfMessage())
                server.start_next_cycle()
            elif event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return found
    except h11.RemoteProtocolError:
        return found


def _always(rules: WebPolicy) -> Any:
    async def web_access() -> WebPolicy:
        return rules

    return web_access


@contextlib.contextmanager
def _opened() -> Generator[Try]:
    loop = asyncio.new_event_loop()
    door = ServedConnection(loop)
    loop.set_exception_handler(lambda _, decoded: door.logged_errors.responses.append(str(decoded)))
    logger = logging.getLogger(CLIENTS_LOGGER)
    logger.addHandler(door.logged_errors)
    before = logger.propagate, logger.level
    logger.propagate, logger.level = False, logging.ERROR
    try:
        yield partial(try_one, door=door)
    finally:
        logger.removeHandler(door.logged_errors)
        logger.propagate, logger.level = before
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


TARGET: Final = Target(
    "http-connection",
    "what a client sends",
    [(SEEDS / "http_connection", "*.http")],
    _opened,
    words=(
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"OPTIONS * ",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b"\r\n\r\n",
        b"Host: a\r\n",
        b"Host: secured\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: Upgrade\r\n",
        b"Expect: 100-continue\r\n",
        b"Accept: application/openmetrics-text\r\n",
        b"Accept-Encoding: gzip\r\n",
        b"Authorization: Basic cHJvbWV0aGV1czpjb3JyZWN0IGhvcnNl\r\n",
        b"/metrics",
        b"/-/reload",
        b"/-/ready",
        b"/api/v1/status?",
        b"/?media=",
        b"%00",
        b"%ff",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"\x00",
        b"\xff",
    ),
    longest=2048,
)
