"""An httpx transport: a pool of HTTP/1.1 connections that are checked before they are reused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import h11
import httpx

from exporter.vod import network_errors
from exporter.vod.network_errors import ConnectionLost
from exporter.vod.network_route import AttemptProgress
from exporter.vod.response_head import read_head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exporter.vod.network_route import Route
    from exporter.vod.tcp_stream import Stream

KEEP_ALIVE: Final = 5.0
"""Seconds that an idle connection stays open; the same as in httpx."""

CHUNK_BYTES: Final = 8_192
"""Compressed bytes per chunk: each may expand a thousandfold, and the size limit is checked after each."""

_PROXY_AUTHENTICATION: Final = 407
_REQUEST_TIMEOUT: Final = 408
FRESH: Final = "fresh"
"""The request extension that demands a new connection."""


class PooledTransport(httpx.AsyncBaseTransport):
    """A pool of connections over one route, opened on demand: one for each request in flight.

    A connection is reused only if its last response was received completely and nothing followed it: unsolicited data
    would be read as the next response. Timeouts, redirects, cookies and compression are left to the caller.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._idle: list[_Connection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and receive the response up to the end of its headers. Raises NetworkError.

        Request extensions: `progress`, an AttemptProgress to update; `fresh`, to demand a new connection. Response
        extensions: `connection`, an object that identifies the connection; `discard`, a function that prevents its
        reuse.
        """
        progress = request.extensions.get("progress") or AttemptProgress()
        connection = None if request.extensions.get(FRESH) else self._reusable()
        if connection is None:
            connection = _Connection(await self._route.open(progress), self._route)
        try:
            progress.waiting_for = "the response"
            status, headers = await connection.send(request, await request.aread())
        except BaseException as error:
            connection.close()
            if isinstance(error, ConnectionLost):
                await self.aclose()  # the others have been idle for as long
            raise
        progress.waiting_for = "the end of the response"
        is_compressed = any(name.lower() == b"content-encoding" for name, _ in headers)
        body = _ResponseBody(connection, self._idle, is_compressed=is_compressed)
        extensions = {"discard": body.discard, "connection": connection}
        return httpx.Response(status, headers=headers, stream=body, extensions=extensions)

    def _reusable(self) -> _Connection | None:
        """The most recently used connection, so that surplus ones reach KEEP_ALIVE; None if there is none to reuse."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reuse():
                return connection
        return None

    async def aclose(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._idle.pop().close()


class _Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, stream: Stream, route: Route) -> None:
        self._stream = stream
        self._route = route
        self._http = h11.Connection(h11.CLIENT)
        self._is_used = False
        self._is_eof = False
        self._expiry: asyncio.TimerHandle | None = None

    async def send(self, request: httpx.Request, content: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Send the request, and receive status and headers."""
        proxied = self._route.proxy is not None and self._route.scheme == "http"
        self._stream.write(self._serialized(request, content, proxied=proxied))
        while True:
            head = await read_head(self._stream)
            if head is None:
                raise network_errors.lost() if self._is_used else network_errors.not_answered(self._stream.error)
            try:
                self._http.receive_data(head)
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                raise network_errors.no_http("its headers contradict each other") from None
            if isinstance(event, h11.Response):
                is_last = self._http.our_state is h11.MUST_CLOSE  # it has the header Connection: close
                if self._is_used and is_last and event.status_code == _REQUEST_TIMEOUT:
                    # The server has closed the idle connection, and says so.
                    raise network_errors.lost()
                break
            if not isinstance(event, h11.InformationalResponse):
                raise network_errors.no_http("it is a response to something else")
        if proxied and event.status_code == _PROXY_AUTHENTICATION:
            raise network_errors.proxy_refused(event.status_code)
        self._is_used = True
        return event.status_code, event.headers.raw_items()

    def _serialized(self, request: httpx.Request, content: bytes, *, proxied: bool) -> bytes:
        target, headers = request.url.raw_path, request.headers.raw
        if proxied and self._route.proxy is not None:
            target = b"%b://%b%b" % (request.url.raw_scheme, request.url.netloc, target)
            if self._route.proxy.authorization:
                headers = [*headers, (b"Proxy-Authorization", self._route.proxy.authorization.encode("ascii"))]
        try:
            parts = [
                self._http.send(h11.Request(method=request.method, target=target, headers=headers)),
                self._http.send(h11.Data(data=content)),
                self._http.send(h11.EndOfMessage()),
            ]
        except h11.LocalProtocolError:
            raise network_errors.unsendable() from None
        return b"".join(part for part in parts if part)

    async def body(self) -> AsyncIterator[bytes]:
        """The chunks of the response body, still compressed."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                raise self._body_error() from None
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif event is not h11.NEED_DATA:
                return
            else:
                await self._receive()

    async def _receive(self) -> None:
        received = self._stream.received
        if not received:
            await self._stream.more()
        if not received:
            self._is_eof = True
            self._http.receive_data(b"")
            return
        self._http.receive_data(bytes(received))
        received.clear()

    def _body_error(self) -> network_errors.NetworkError:
        if self._is_eof:
            return network_errors.closed("in the middle of the response")
        return network_errors.no_http("the parts of its body do not have the stated lengths")

    def make_idle(self, idle: list[_Connection]) -> bool:
        """Become idle until KEEP_ALIVE has passed; False if the connection cannot be reused."""
        if self._http.trailing_data != (b"", False) or not self._stream.is_quiet:
            return False
        try:
            self._http.start_next_cycle()
        except h11.LocalProtocolError:
            return False

        def expire() -> None:
            idle.remove(self)
            self.close()

        self._expiry = asyncio.get_running_loop().call_later(KEEP_ALIVE, expire)
        return True

    def reuse(self) -> bool:
        """Prepare for reuse; close and return False if the other side has ended or sent unsolicited data."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._stream.is_quiet:
            return True
        self.close()
        return False

    def close(self) -> None:
        """Close immediately."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._stream.close()


class _ResponseBody(httpx.AsyncByteStream):
    """The response body; closing it returns the connection to the pool."""

    def __init__(self, connection: _Connection, idle: list[_Connection], *, is_compressed: bool) -> None:
        self._connection = connection
        self._idle = idle
        self._is_compressed = is_compressed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._connection.body():
            if not self._is_compressed:
                yield data
                continue
            for start in range(0, len(data), CHUNK_BYTES):
                yield data[start : start + CHUNK_BYTES]

    def discard(self) -> None:
        """Close the connection, even if it is idle by now: its responses are not trustworthy."""
        self._connection.close()

    async def aclose(self) -> None:
        """Return the connection to the pool, or close it if the response was not received completely."""
        if self._connection.make_idle(self._idle):
            self._idle.append(self._connection)
        else:
            self._connection.close()
