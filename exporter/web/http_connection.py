"""One connection: TLS if configured, HTTP/1.1 by uvicorn, and the times and sizes that the limits apply to."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.web.access.middleware import HEADERS
from exporter.web.access.tls_transport import TlsTransport
from exporter.web.request_head import check_head

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from exporter.web.access.live_config import LiveWebConfig
    from exporter.web.access.tls import TlsEngine
    from exporter.web.connection_limits import ConnectionTracker

# Hides the warning that uvicorn logs for every malformed request: operators cannot act on the mistakes of clients.
CLIENTS_LOGGER: Final = "exporter.web.clients"
_PLAIN_HEADERS: Final = {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
_PLAIN_ON_TLS: Final = (
    "\r\n".join(["HTTP/1.0 400 Bad Request", *(f"{name}: {value}" for name, value in _PLAIN_HEADERS.items()), "", ""])
    + "Client sent an HTTP request to an HTTPS server.\n"
).encode()
_METHODS: Final = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ")

_log = structlog.get_logger()


class _ClientDisconnected(BaseException):
    """Stops the application when its client is gone; not an Exception, because that would get an error page."""


def _buffered_cost(chunk_bytes: int) -> int:
    """Return the memory of a chunk that the client has not received: itself, and twice as much in the kernel."""
    return 3 * chunk_bytes


class HttpConnection(H11Protocol):
    """A connection of uvicorn that reports its state to the ConnectionTracker."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        tracker: ConnectionTracker,
        web_access: LiveWebConfig | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logging.getLogger(CLIENTS_LOGGER)
        self.request_started_at: float | None = None
        self.response_started_at: float | None = None
        self.idle_since: float | None = None
        self.last_progress_at = 0.0
        self._tracker = tracker
        self._limits = tracker.limits
        self._chunk_bytes = tracker.limits.few_connections_chunk_bytes
        self._web_access = web_access
        self._raw: asyncio.Transport | None = None
        self._tls: TlsEngine | None = None
        self._opening: asyncio.Task[None] | None = None
        self._early_data = b""
        self._is_responding = False
        self._sent_bytes = 0
        self._inner = self.app
        self.app = self._answer

    def end(self) -> None:
        """Abort the connection, whatever its state."""
        if self._opening is not None:
            self._opening.cancel()
        if self.cycle is not None:
            # Otherwise a response would go on writing to a closed connection, and asyncio would warn of every write.
            self.cycle.disconnected = True
        if self._raw is not None:
            self._raw.abort()

    def drop_response(self) -> int:
        """Drop the response except for the chunk being sent, then close; return the bytes that stay buffered."""
        # As when the client disconnects: uvicorn drops the response, and the application ends.
        self.cycle.disconnected = True
        self.flow.resume_writing()
        self.transport.close()
        return _buffered_cost(self._buffered())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Handle a new connection; with TLS, read the current certificate first."""
        self._raw = transport
        # Bytes that the kernel does not take immediately count as not received.
        transport.set_write_buffer_limits(high=0)
        self.request_started_at = self._tracker.monotonic()
        self._tracker.add(self)
        if len(self._tracker) > self._limits.few_connections:
            is_some = len(self._tracker) <= self._limits.several
            self._set_chunk_bytes(self._limits.some_connections_chunk_bytes if is_some else self._limits.chunk_bytes)
        if self._web_access is None or not self._web_access.has_tls:
            super().connection_made(transport)
        else:
            self._opening = self.loop.create_task(self._open(transport, self._web_access))

    async def _open(self, raw: asyncio.Transport, web_access: LiveWebConfig) -> None:
        from exporter.web.access.tls import TlsEngine  # noqa: PLC0415 - OpenSSL takes 0.1 s to load, which only TLS needs

        policy = await web_access.rules()
        if raw.is_closing() or policy.context is None:
            raw.abort()
            return
        self._tls = TlsEngine(policy.context)
        super().connection_made(TlsTransport(raw, self._tls))
        raw.resume_reading()
        early, self._early_data = self._early_data, b""
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        self._tracker.remove(self)
        self._response_drained()
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the network: a handshake, a request, or parts of them."""
        if self._opening is not None and self._tls is None:
            self._buffer_early_data(data)
            return
        try:
            plaintext = self._tls.receive(data) if self._tls else data
        except ConnectionError as error:
            self._reject_handshake(data, str(error))
            return
        self._flush()
        if plaintext and self.request_started_at is None and self.conn.their_state is h11.IDLE:
            self._begin_request()
        rest = memoryview(plaintext)
        while rest and not self.transport.is_closing():
            size = self._readable_bytes()
            piece, rest = rest[:size], rest[size:]
            if self._unprocessed_bytes() + len(piece) > self._limits.header_bytes:
                self._tracker.evict_oversized(self)
                return
            super().data_received(bytes(piece))
        if self.request_started_at is not None and self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}:
            self.request_started_at = None
            self._tracker.update(self)
        if self._tls and self._tls.is_over:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP, unless a response has begun, and close; earlier requests get no response."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            has_body = self.conn.our_state is h11.IDLE or self.scope["method"] != "HEAD"
            head = h11.Response(status_code=400, headers=list(_PLAIN_HEADERS.items()), reason=b"Bad Request")
            text = [h11.Data(data=msg.encode())] if has_body else []
            for event in (head, *text, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """Handle the end of a response; the next request may have arrived already."""
        self._is_responding = False
        if not self._buffered():
            self._response_drained()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.SEND_BODY:
            # The next request has arrived in part; uvicorn's timeout covers only idle connections.
            if self.request_started_at is None:
                self._begin_request()
        elif self.conn.their_state is h11.IDLE:
            rest, _ = self.conn.trailing_data
            if rest:
                self._begin_request()
            else:
                self.request_started_at, self.idle_since = None, self._tracker.monotonic()
                self._tracker.update(self)

    def resume_writing(self) -> None:
        """Handle that the kernel has taken all written bytes."""
        self.last_progress_at = self._tracker.monotonic()
        if not self._is_responding:
            self._response_drained()
        if self.flow is not None:
            super().resume_writing()

    def pause_writing(self) -> None:
        """Handle that the kernel has not taken all written bytes."""
        if self.flow is not None:
            super().pause_writing()

    def _readable_bytes(self) -> int:
        """Return how many bytes to pass to h11 next: h11 checks the size of a head only while it is incomplete."""
        if self.conn.their_state is h11.IDLE:
            # At least one byte, by which h11 notices that a head is too large.
            return max(1, self._limits.header_bytes - len(self.conn.trailing_data[0]))
        return self._limits.header_bytes

    def _unprocessed_bytes(self) -> int:
        """Return the size of what arrived after a request without a response: its unread body, or further requests."""
        if self.conn.their_state is h11.SEND_BODY and not self.cycle.response_complete:
            return len(self.cycle.body)
        if self.conn.their_state is h11.DONE:
            return len(self.conn.trailing_data[0])
        return 0

    def _begin_request(self) -> None:
        self.request_started_at, self.idle_since = self._tracker.monotonic(), None
        self._tracker.update(self)

    def _response_drained(self) -> None:
        self.response_started_at = None
        self._tracker.update(self)
        self._tracker.set_buffered(self, 0)

    def _set_chunk_bytes(self, size: int) -> None:
        """Set the chunk size and the send buffer of the kernel, which doubles the size that it is given."""
        self._chunk_bytes = size
        connected = self._raw.get_extra_info("socket") if self._raw else None
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def _buffered(self) -> int:
        """Return how many written bytes the kernel has not taken yet."""
        return self._raw.get_write_buffer_size() if self._raw else 0

    def _flush(self) -> None:
        """Send the pending records of TLS itself, such as those of the handshake."""
        if self._tls and self._raw and (own := self._tls.pending()):
            self._raw.write(own)

    def _buffer_early_data(self, data: bytes) -> None:
        """Buffer what arrives before the TLS engine exists, and pause reading until then.

        Reading is not paused in `connection_made`: asyncio before Python 3.11.4 ignores that and raises at a later
        pause.
        """
        if self._raw is not None:
            self._raw.pause_reading()
        self._early_data += data
        if len(self._early_data) > self._limits.header_bytes:
            self._reject_handshake(self._early_data, "too much data before the handshake")
            self._early_data = b""

    def _reject_handshake(self, data: bytes, reason: str) -> None:
        raw = self._raw
        if raw is None or raw.is_closing():
            return
        if data.startswith(_METHODS):
            raw.write(_PLAIN_ON_TLS)
        else:
            self._flush()
        peer = raw.get_extra_info("peername")
        _log.debug("TLS handshake failed", client=peer[0] if peer else "", error=reason)
        raw.close()

    def _detect_disconnect(self) -> None:
        """Raise _ClientDisconnected if the client is gone; asyncio calls `connection_lost` only later."""
        if self._raw is None or self._raw.is_closing():
            self.cycle.disconnected = True
            raise _ClientDisconnected

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application and send its response in chunks, each after the kernel has taken the one before."""

        async def paced(message: Message) -> None:
            self._detect_disconnect()
            if message["type"] == "http.response.start":
                self.last_progress_at = self._tracker.monotonic()
                if self.response_started_at is None:
                    self.response_started_at = self.last_progress_at
                    self._tracker.update(self)
                await send(message)
                return
            body = b"" if scope["method"] == "HEAD" else message.get("body", b"")
            # A chunk is a copy. The rest of the body stays buffered here; a shared body counts once for all clients.
            is_shared = message.get("shared", False)
            begin = 0
            while True:
                self._detect_disconnect()
                if (
                    self._sent_bytes > self._limits.fast_reader_bytes
                    and self._chunk_bytes < self._limits.some_connections_chunk_bytes
                ):
                    # With small chunks, a fast reader would wait for all other clients between any two of them.
                    self._set_chunk_bytes(self._limits.some_connections_chunk_bytes)
                chunk = body[begin : begin + self._chunk_bytes]
                buffered = _buffered_cost(len(chunk))
                if is_shared:
                    self._tracker.set_buffered(self, buffered, body)
                else:
                    self._tracker.set_buffered(self, buffered + len(body))
                begin += len(chunk)
                self._sent_bytes += len(chunk)
                has_more = begin < len(body)
                await send({**message, "body": chunk, "more_body": has_more or message.get("more_body", False)})
                if not has_more:
                    break
            self._tracker.set_buffered(self, _buffered_cost(self._buffered()))

        self._is_responding = True
        self._sent_bytes = 0
        self.idle_since = None
        self._tracker.update(self)
        rejection = check_head(scope)
        try:
            await (rejection or self._inner)(scope, receive, paced)
        except _ClientDisconnected:
            pass
        except asyncio.CancelledError:
            # uvicorn cancels responses that are still in flight when stopping takes too long; it would log a traceback.
            self.end()
