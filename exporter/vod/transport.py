"""httpx's requests over HTTP/1.1 connections that are kept, and watched while nobody uses them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import h11
import httpx

from exporter.vod import network_errors
from exporter.vod.network_errors import ConnectionLost
from exporter.vod.network_route import Progress
from exporter.vod.response_head import LARGEST_HEAD, received_head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from exporter.vod.network_route import Route
    from exporter.vod.tcp_stream import Stream

KEEP_ALIVE: Final = 5.0
"""Seconds that a connection is kept open without a request, as long as httpx keeps its own."""

CHUNK_BYTES: Final = 8_192
"""The most that is unpacked at once: it may unfold a thousandfold, and is counted after each."""

_PROXY_AUTHENTICATION: Final = 407
FRESH: Final = "fresh"
"""The extension of a request that is not to be sent over a kept connection."""


class TransportSender:
    """Sends over a transport what httpx's client would send over it, at a third of its cost.

    There is nothing to do for what else a client is for: redirects are not followed, no cookie is kept.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def send(self, request: httpx.Request, *, auth: httpx.Auth) -> httpx.Response:
        """The response, its body still to be received. Raises httpx.TransportError.

        Where a kept connection turns out to be closed, the request is signed again and sent over a new one: to the
        account that is one attempt.
        """
        try:
            response = await self._transport.handle_async_request(next(auth.auth_flow(request)))
        except ConnectionLost:
            request.extensions[FRESH] = True
            response = await self._transport.handle_async_request(next(auth.auth_flow(request)))
        response.request = request
        return response

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


class PooledTransport(httpx.AsyncBaseTransport):
    """Connections over one route, made when they are needed: as many as there are requests under way, and kept.

    A connection is kept only after an answer that was received to its end, and used again only when nothing more was
    received on it: what nobody has asked for is an answer to something else. It sets no time limit, and leaves
    redirects, cookies and compression to others.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._idle: list[_Connection] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and receive up to the end of the headers. Raises NetworkError, ConnectionLost among others.

        Extensions of the request: `progress`, a Progress that follows it; `fresh`, to use no kept connection. Those of
        the response: `connection`, the same object for all that one connection has answered; `discard` to call where
        it is not to be used again.
        """
        progress = request.extensions.get("progress") or Progress()
        connection = None if request.extensions.get(FRESH) else self._kept()
        if connection is None:
            connection = _Connection(await self._route.opened(progress), self._route)
        try:
            progress.waiting_for = "the answer"
            status, headers = await connection.sent(request, await request.aread())
        except BaseException as error:
            connection.close()
            if isinstance(error, ConnectionLost):
                await self.aclose()  # the others have been kept for as long
            raise
        progress.waiting_for = "the end of the answer"
        is_packed = any(name.lower() == b"content-encoding" for name, _ in headers)
        body = _Body(connection, self._idle, is_packed=is_packed)
        extensions = {"discard": body.discard, "connection": connection}
        return httpx.Response(status, headers=headers, stream=body, extensions=extensions)

    def _kept(self) -> _Connection | None:
        """The one that was used last, so that those too many end by themselves."""
        while self._idle:
            connection = self._idle.pop()
            if connection.wake():
                return connection
        return None

    async def aclose(self) -> None:
        """Close every connection that is not in use."""
        while self._idle:
            self._idle.pop().close()


class _Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, stream: Stream, route: Route) -> None:
        self._stream = stream
        self._route = route
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * LARGEST_HEAD)
        self._is_used = False
        self._is_at_end = False
        self._end: asyncio.TimerHandle | None = None

    async def sent(self, request: httpx.Request, content: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Send, and receive the status and the headers."""
        proxied = self._route.proxy is not None and self._route.scheme == "http"
        self._stream.write(self._written(request, content, proxied=proxied))
        while True:
            head = await received_head(self._stream)
            if head is None:
                raise network_errors.lost() if self._is_used else network_errors.closed("before the answer")
            try:
                self._http.receive_data(head)
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                raise network_errors.no_http("its headers contradict each other") from None
            if isinstance(event, h11.Response):
                break
            if not isinstance(event, h11.InformationalResponse):
                raise network_errors.no_http("it answered something else than was asked")
        if proxied and event.status_code == _PROXY_AUTHENTICATION:
            raise network_errors.proxy_refused(event.status_code)
        self._is_used = True
        return event.status_code, event.headers.raw_items()

    def _written(self, request: httpx.Request, content: bytes, *, proxied: bool) -> bytes:
        target, headers = request.url.raw_path, request.headers.raw
        if proxied and self._route.proxy is not None:
            target = b"%b://%b%b" % (request.url.raw_scheme, request.url.netloc, target)
            if self._route.proxy.authorization:
                headers = [*headers, (b"Proxy-Authorization", self._route.proxy.authorization.encode("ascii"))]
        try:
            parts = [
                self._http.send(h11.Request(method=request.method, target=target, headers=headers)),
                self._http.send(h11.Data(data=content)) if content else b"",
                self._http.send(h11.EndOfMessage()),
            ]
        except h11.LocalProtocolError:
            raise network_errors.unsendable() from None
        return b"".join(part for part in parts if part)

    async def body(self) -> AsyncIterator[bytes]:
        """What comes after the headers, to its end, as it was sent."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                raise self._broken() from None
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif event is not h11.NEED_DATA:
                return
            else:
                await self._fed()

    async def _fed(self) -> None:
        received = self._stream.received
        if not received:
            await self._stream.more()
        if not received:
            self._is_at_end = True
            self._http.receive_data(b"")
            return
        self._http.receive_data(bytes(received))
        received.clear()

    def _broken(self) -> network_errors.NetworkError:
        if self._is_at_end:
            return network_errors.closed("in the middle of the answer")
        return network_errors.no_http("the parts of its body do not have the lengths that they name")

    def rest(self, idle: list[_Connection]) -> bool:
        """Wait for another request, where this connection can take one: False where it is to be closed."""
        if self._http.trailing_data != (b"", False) or not self._stream.is_quiet:
            return False
        try:
            self._http.start_next_cycle()
        except h11.LocalProtocolError:
            return False

        def end() -> None:
            if self in idle:
                idle.remove(self)
            self.close()

        self._end = asyncio.get_running_loop().call_later(KEEP_ALIVE, end)
        return True

    def wake(self) -> bool:
        """Be used again; False, and closed, where the other side has ended or has sent what nobody asked for."""
        if self._end is not None:
            self._end.cancel()
        if self._stream.is_quiet:
            return True
        self.close()
        return False

    def close(self) -> None:
        """Close at once."""
        if self._end is not None:
            self._end.cancel()
        self._stream.close()


class _Body(httpx.AsyncByteStream):
    """What comes after the headers."""

    def __init__(self, connection: _Connection, idle: list[_Connection], *, is_packed: bool) -> None:
        self._connection = connection
        self._idle = idle
        self._is_packed = is_packed
        self._is_whole = False
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._connection.body():
            if not self._is_packed:
                yield data
                continue
            for start in range(0, len(data), CHUNK_BYTES):
                yield data[start : start + CHUNK_BYTES]
        self._is_whole = True

    def discard(self) -> None:
        """Close the connection, also when it waits for another request: what it has said is not to be trusted."""
        self._connection.close()

    async def aclose(self) -> None:
        """Keep the connection for the next request, or close it where something is left to be received."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_whole and self._connection.rest(self._idle):
            self._idle.append(self._connection)
        else:
            self._connection.close()
