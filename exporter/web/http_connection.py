"""One connection: TLS if configured, HTTP/1.1 by uvicorn, and the times and sizes that the limits apply to."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.web.access.middleware import OPEN_PATHS
from exporter.web.access.tls_transport import TlsTransport
from exporter.web.client_groups import ClientGroup, network_of
from exporter.web.opening import PLAIN_HEADERS, Opening, decrypt
from exporter.web.request_head import RequestParser, check_head
from exporter.web.response_pacing import ClientDisconnected, ResponsePacing, buffered_cost
from exporter.web.turns import NO_GROUP, Step

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from exporter.web.access.live_config import LiveWebConfig
    from exporter.web.access.tls import TlsEngine
    from exporter.web.connection_tracker import ConnectionTracker

# Hides the warning that uvicorn logs for every malformed request: operators cannot act on the mistakes of clients.
CLIENTS_LOGGER: Final = "exporter.web.clients"

_PROBES: Final = tuple(OPEN_PATHS)


class HttpConnection(H11Protocol):
    """A connection of uvicorn that reports its state to the ConnectionTracker."""

    conn: RequestParser
    _raw: asyncio.Transport  # set by `connection_made`, which is called first

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
        self._tracker = tracker
        self._limits = tracker.limits
        self.conn = RequestParser(self._limits.header_bytes)
        self.logger = logging.getLogger(CLIENTS_LOGGER)
        self.request_started_at: float | None = None
        self.response_started_at: float | None = None
        self.idle_since: float | None = None
        self.last_progress_at = 0.0
        self._pacing: ResponsePacing | None = None
        self._web_access = web_access
        self.group = NO_GROUP
        self._tls: TlsEngine | None = None
        self._opening: Opening | None = None
        self._is_responding = False
        self._inner = self.app
        self.app = self._answer

    def end(self) -> None:
        """Abort the connection, whatever its state."""
        if self._opening is not None:
            self._opening.cancel()
        if self.cycle is not None:
            # Otherwise a response would go on writing to a closed connection, and asyncio would warn of every write.
            self.cycle.disconnected = True
        self._raw.abort()

    def drop_response(self) -> int:
        """Drop the response except for the chunk being sent, then close; return the bytes that stay buffered."""
        # As when the client disconnects: uvicorn drops the response, and the application ends.
        self.cycle.disconnected = True
        self.flow.resume_writing()
        self.transport.close()
        return buffered_cost(self._buffered())

    def begin_response(self) -> None:
        """Note that a response starts, or waits for its turn."""
        self.last_progress_at = self._tracker.monotonic()
        if self.response_started_at is None:
            self.response_started_at = self.last_progress_at
            self._tracker.update(self)

    async def wait_for_turn(self, step: Step) -> None:
        """Return when it is its turn, or when its client is gone."""
        await self._tracker.turns.wait(self, step, self.group)

    def detect_disconnect(self) -> None:
        """Raise ClientDisconnected if the client is gone; asyncio calls `connection_lost` only later."""
        if self._raw.is_closing():
            self.cycle.disconnected = True
            raise ClientDisconnected

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Handle a new connection; nothing is done for it before its first bytes arrive."""
        self._raw = transport
        peer = transport.get_extra_info("peername")
        self.group = ClientGroup(network_of(peer[0]) if peer else "")
        # Bytes that the kernel does not take immediately count as not received.
        transport.set_write_buffer_limits(high=0)
        self.request_started_at = self._tracker.monotonic()
        self._tracker.add(self)
        self._pacing = ResponsePacing(self, self._tracker, transport)
        self._opening = Opening(self, transport, self._tracker, self._web_access, self._opened)

    def _opened(self, tls: TlsEngine | None, data: bytes) -> None:
        self._opening, self._tls = None, tls
        super().connection_made(TlsTransport(self._raw, tls) if tls else self._raw)
        self._receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        self._tracker.remove(self)
        self._tracker.turns.leave(self, self.group)
        self._response_drained()
        if self.transport is not None:
            super().connection_lost(exc)
        # Let everything be freed now: the next garbage collection may come late, or find the objects frozen.
        self.app, self._pacing, self._opening = self._inner, None, None
        vars(self._raw).pop("_read_ready_cb", None)  # a method of the transport, in its own attribute

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the network: a handshake, a request, or parts of them."""
        if self._opening is not None:
            self._opening.receive(data)
            return
        plaintext = data if self._tls is None else decrypt(self._raw, self._tls, data)
        if plaintext is not None:
            self._receive(plaintext)

    def _receive(self, plaintext: bytes) -> None:
        """Handle decrypted bytes."""
        if plaintext and self.request_started_at is None and self.conn.their_state is h11.IDLE:
            self._begin_request()
        rest = memoryview(plaintext)
        while rest and not self.transport.is_closing():
            size = self.conn.readable_bytes()
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
            is_unparsed = self.conn.our_state is h11.IDLE
            is_head = self.conn.trailing_data[0].startswith(b"HEAD ") if is_unparsed else self.scope["method"] == "HEAD"
            head = h11.Response(status_code=400, headers=list(PLAIN_HEADERS.items()), reason=b"Bad Request")
            text = [] if is_head else [h11.Data(data=msg.encode())]
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

    def _buffered(self) -> int:
        """Return how many written bytes the kernel has not taken yet."""
        return self._raw.get_write_buffer_size()

    def _is_deferrable(self, scope: Scope) -> bool:
        """Return whether a request waits for its turn before the application sees it: under load, scrapes go first."""
        if len(self._tracker) <= self._limits.several or scope["path"].endswith(_PROBES):
            return False
        return not any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application and send its response."""
        self._is_responding = True
        self.idle_since = None
        self._tracker.update(self)
        rejection = check_head(scope)
        try:
            if self._is_deferrable(scope):
                self.begin_response()
                await self.wait_for_turn(Step.PLAIN_REQUEST)
                self.detect_disconnect()
            await (rejection or self._inner)(scope, receive, self._pacing.paced(scope, send) if self._pacing else send)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            # uvicorn cancels responses that are still in flight when stopping takes too long; it would log a traceback.
            self.end()
