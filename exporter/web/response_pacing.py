"""Send the responses of one connection in chunks, each after the kernel has taken the one before."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final, Protocol

from exporter.web.connection_tracker import WaitingConnection
from exporter.web.turns import Step

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Message, Scope, Send

    from exporter.web.connection_tracker import ConnectionTracker

# Steps of what scrapers request.
_SCRAPES: Final = frozenset({Step.REPEATED_RESPONSE, Step.COMPRESSED_RESPONSE})


class ClientDisconnected(BaseException):
    """Stops the application when its client is gone; not an Exception, because that would get an error page."""


class PacedConnection(WaitingConnection, Protocol):
    """What the pacing needs of its connection."""

    def begin_response(self) -> None:
        """Note that the response starts now, or waits for its turn."""
        ...

    def detect_disconnect(self) -> None:
        """Raise ClientDisconnected if the client is gone."""
        ...


def buffered_cost(chunk_bytes: int) -> int:
    """Return the memory of a chunk that the client has not received: itself, and twice as much in the kernel."""
    return 3 * chunk_bytes


class ResponsePacing:
    """The chunk size of a connection, and its responses in chunks of that size."""

    def __init__(self, client: PacedConnection, tracker: ConnectionTracker, raw: asyncio.Transport) -> None:
        self._client = client
        self._tracker = tracker
        self._limits = tracker.limits
        self._raw = raw
        self._has_received = False
        self._chunk_bytes = tracker.limits.few_connections_chunk_bytes
        if len(tracker) > self._limits.few_connections:
            is_some = len(tracker) <= self._limits.several
            self._set_chunk_bytes(self._limits.some_connections_chunk_bytes if is_some else self._limits.chunk_bytes)

    def paced(self, scope: Scope, send: Send) -> Send:
        """Return `send` for one response, in chunks; it raises ClientDisconnected."""
        sent_bytes = 0
        step: Step | None = None

        async def paced(message: Message) -> None:
            try:
                await send_paced(message)
            except ClientDisconnected:
                if sent_bytes and step in _SCRAPES:
                    self._tracker.turns.readers.disconnected(self._client.group)
                raise

        async def send_paced(message: Message) -> None:
            nonlocal sent_bytes, step
            self._client.detect_disconnect()
            if message["type"] == "http.response.start":
                step = self._step(scope, message)
                await self._start(message, send, step)
                return
            body = b"" if scope["method"] == "HEAD" else message.get("body", b"")
            # A chunk is a copy. The rest of the body stays buffered here; a shared body counts once for all clients.
            is_shared = message.get("shared", False)
            begin = 0
            while True:
                if sent_bytes and step is Step.PLAIN_RESPONSE:
                    await self._client.wait_for_turn(step)
                self._client.detect_disconnect()
                self._adapt_chunk_bytes(sent_bytes)
                chunk = body[begin : begin + self._chunk_bytes]
                buffered = buffered_cost(len(chunk)) + (0 if is_shared else len(body))
                self._tracker.set_buffered(self._client, buffered, body if is_shared else b"")
                begin += len(chunk)
                sent_bytes += len(chunk)
                has_more = begin < len(body)
                await send({**message, "body": chunk, "more_body": has_more or message.get("more_body", False)})
                if not has_more:
                    break
            # A next response means that the client has sent another request, so it has received this one.
            self._has_received = self._has_received or step is not None
            if step in _SCRAPES and not message.get("more_body", False):
                self._tracker.turns.readers.finished(self._client.group)
            self._tracker.set_buffered(self._client, buffered_cost(self._raw.get_write_buffer_size()))

        return paced

    def _step(self, scope: Scope, message: Message) -> Step | None:
        """Return for which step a response waits; None for one that fits into one chunk."""
        headers = dict(message.get("headers", ()))
        if scope["method"] == "HEAD" or int(headers.get(b"content-length", 0)) <= self._chunk_bytes:
            return None
        if b"content-encoding" not in headers:
            return Step.PLAIN_RESPONSE
        return Step.REPEATED_RESPONSE if self._has_received else Step.COMPRESSED_RESPONSE

    async def _start(self, message: Message, send: Send, step: Step | None) -> None:
        """Send the head of a response, after waiting for its turn."""
        self._client.begin_response()
        if step is not None:
            await self._client.wait_for_turn(step)
            self._client.detect_disconnect()
            self._client.begin_response()
        await send(message)

    def _adapt_chunk_bytes(self, sent_bytes: int) -> None:
        """Enlarge small chunks for a fast reader, which would wait for all other clients between any two of them."""
        enlarged = self._limits.some_connections_chunk_bytes
        if sent_bytes > self._limits.fast_reader_bytes and self._chunk_bytes < enlarged:
            self._set_chunk_bytes(enlarged)

    def _set_chunk_bytes(self, size: int) -> None:
        """Set the chunk size and the send buffer of the kernel, which doubles the size that it is given."""
        self._chunk_bytes = size
        connected = self._raw.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
