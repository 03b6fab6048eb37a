"""One connection: TLS where it is asked for, HTTP/1.1 by uvicorn, and the times and sizes that limits are about."""

from __future__ import annotations

import contextlib
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
    import asyncio

    from starlette.types import Message, Receive, Scope, Send
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from exporter.web.access.live_config import LiveWebConfig
    from exporter.web.access.tls import TlsEngine
    from exporter.web.connection_limits import ConnectionTracker

# What a client does wrong is no news; uvicorn has a warning for each time.
CLIENTS_LOGGER: Final = "exporter.web.clients"
_PLAIN_HEADERS: Final = {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
_PLAIN_ON_TLS: Final = (
    "\r\n".join(["HTTP/1.0 400 Bad Request", *(f"{name}: {value}" for name, value in _PLAIN_HEADERS.items()), "", ""])
    + "Client sent an HTTP request to an HTTPS server.\n"
).encode()
_METHODS: Final = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ")

_log = structlog.get_logger()


class _ClientDisconnected(BaseException):
    """The client is gone, and nothing more is to be made for it; no Exception, which would get an error page."""


def _buffered_cost(piece: int) -> int:
    """What a piece that is not taken in costs: itself, and in the kernel twice as much."""
    return 3 * piece


class HttpConnection(H11Protocol):
    """A connection as uvicorn serves it, which tells the crowd how it keeps us waiting."""

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
        self._is_answering = False
        self._taken_bytes = 0
        self._inner = self.app
        self.app = self._answer

    def end(self) -> None:
        """End it now, whatever it is doing."""
        if self._opening is not None:
            self._opening.cancel()
        if self.cycle is not None:
            # Or an answer that has just begun is written to nobody, and asyncio warns of every piece.
            self.cycle.disconnected = True
        if self._raw is not None:
            self._raw.abort()

    def drop_response(self) -> int:
        """Keep no more of the answer than the piece that is being sent, then close; give the size of what is left."""
        # As when the client has gone: uvicorn lets go of the answer, and the application ends.
        self.cycle.disconnected = True
        self.flow.resume_writing()
        self.transport.close()
        return _buffered_cost(self._buffered())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Somebody is there; with TLS it is looked up first which certificate to show."""
        self._raw = transport
        # Whatever the kernel does not take at once counts as not taken in.
        transport.set_write_buffer_limits(high=0)
        self.request_started_at = self._tracker.monotonic()
        self._tracker.add(self)
        if len(self._tracker) > self._limits.few_connections:
            few = len(self._tracker) <= self._limits.several
            self._take_pieces(self._limits.some_connections_chunk_bytes if few else self._limits.chunk_bytes)
        if self._web_access is None or not self._web_access.has_tls:
            super().connection_made(transport)
        else:
            self._opening = self.loop.create_task(self._open(transport, self._web_access))

    async def _open(self, raw: asyncio.Transport, web_access: LiveWebConfig) -> None:
        from exporter.web.access.tls import TlsEngine  # noqa: PLC0415 - OpenSSL takes 0.1 s to load: only who wants it pays

        rules = await web_access.rules()
        if raw.is_closing() or rules.context is None:
            raw.abort()
            return
        self._tls = TlsEngine(rules.context)
        super().connection_made(TlsTransport(raw, self._tls))
        raw.resume_reading()
        early, self._early_data = self._early_data, b""
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._tracker.remove(self)
        self._response_drained()
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of the network: a handshake, a request, or parts of them."""
        if self._opening is not None and self._tls is None:
            self._keep(data)
            return
        try:
            said = self._tls.receive(data) if self._tls else data
        except ConnectionError as error:
            self._reject_handshake(data, str(error))
            return
        self._flush()
        if said and self.request_started_at is None and self.conn.their_state is h11.IDLE:
            self._begin_request()
        rest = memoryview(said)
        while rest and not self.transport.is_closing():
            size = self._fitting()
            piece, rest = rest[:size], rest[size:]
            if self._kept_back() + len(piece) > self._limits.header_bytes:
                self._tracker.evict_oversized(self)
                return
            super().data_received(bytes(piece))
        if self.request_started_at is not None and self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}:
            self.request_started_at = None
            self._tracker.update(self)
        if self._tls and self._tls.is_over:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP: say so unless an answer has begun, and end. What came before is answered no more."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            has_body = self.conn.our_state is h11.IDLE or self.scope["method"] != "HEAD"
            refusal = h11.Response(status_code=400, headers=list(_PLAIN_HEADERS.items()), reason=b"Bad Request")
            text = [h11.Data(data=msg.encode())] if has_body else []
            for event in (refusal, *text, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """The answer is on its way; perhaps the next request is here already."""
        self._is_answering = False
        if not self._buffered():
            self._response_drained()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.SEND_BODY:
            # The next request came behind this one and is not all here; uvicorn minds idle clients only.
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
        """The kernel has taken everything there was."""
        self.last_progress_at = self._tracker.monotonic()
        if not self._is_answering:
            self._response_drained()
        if self.flow is not None:
            super().resume_writing()

    def pause_writing(self) -> None:
        """The kernel has not taken everything there is."""
        if self.flow is not None:
            super().pause_writing()

    def _fitting(self) -> int:
        """How much may be read in one go: h11 minds the size of a head only while it is incomplete."""
        if self.conn.their_state is h11.IDLE:
            # One byte at least: it is what shows that a head is too large.
            return max(1, self._limits.header_bytes - len(self.conn.trailing_data[0]))
        return self._limits.header_bytes

    def _kept_back(self) -> int:
        """Bytes that came before the answer to what they follow: a body that nobody reads, or further requests."""
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

    def _take_pieces(self, size: int) -> None:
        """Buffer so many bytes from now on, and let the kernel buffer as many (it doubles what it is told)."""
        self._chunk_bytes = size
        connected = self._raw.get_extra_info("socket") if self._raw else None
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def _buffered(self) -> int:
        """What was written and the kernel has not taken yet."""
        return self._raw.get_write_buffer_size() if self._raw else 0

    def _flush(self) -> None:
        """Send what TLS itself has to say."""
        if self._tls and self._raw and (own := self._tls.pending()):
            self._raw.write(own)

    def _keep(self, data: bytes) -> None:
        """Keep what arrives before the session exists, and read no more until then.

        Reading is not paused from the start: before Python 3.11.4 asyncio ignores that in `connection_made`, and takes
        a later pause for the second one.
        """
        if self._raw is not None:
            self._raw.pause_reading()
        self._early_data += data
        if len(self._early_data) > self._limits.header_bytes:
            self._reject_handshake(self._early_data, "more than a handshake begins with")
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
        """End the application whose client is gone; asyncio tells only after this turn of the loop. Raises _HungUp."""
        if self._raw is None or self._raw.is_closing():
            self.cycle.disconnected = True
            raise _ClientDisconnected

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; hand its answer on in pieces, each when the one before was taken."""

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
            # A copy is made of a piece; the rest is kept here, of what others are given too once for all.
            is_shared = message.get("shared", False)
            begin = 0
            while True:
                self._detect_disconnect()
                if (
                    self._taken_bytes > self._limits.fast_reader_bytes
                    and self._chunk_bytes < self._limits.some_connections_chunk_bytes
                ):
                    # With small pieces in a crowd, it would wait for all others between any two of them.
                    self._take_pieces(self._limits.some_connections_chunk_bytes)
                piece = body[begin : begin + self._chunk_bytes]
                buffered = _buffered_cost(len(piece))
                if is_shared:
                    self._tracker.set_buffered(self, buffered, body)
                else:
                    self._tracker.set_buffered(self, buffered + len(body))
                begin += len(piece)
                self._taken_bytes += len(piece)
                has_more = begin < len(body)
                await send({**message, "body": piece, "more_body": has_more or message.get("more_body", False)})
                if not has_more:
                    break
            self._tracker.set_buffered(self, _buffered_cost(self._buffered()))

        self._is_answering = True
        self._taken_bytes = 0
        self.idle_since = None
        self._tracker.update(self)
        refusal = check_head(scope)
        with contextlib.suppress(_ClientDisconnected):
            await (refusal or self._inner)(scope, receive, paced)
