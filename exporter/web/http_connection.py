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
from exporter.web.request_head import refused_head

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Message, Receive, Scope, Send
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from exporter.web.access.live_config import InForce
    from exporter.web.access.tls import Session
    from exporter.web.connection_limits import Crowd

# What a client does wrong is no news; uvicorn has a warning for each time.
CLIENTS_LOGGER: Final = "exporter.web.clients"
_NO_HTTP: Final = {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
_PLAIN_ON_TLS: Final = (
    "\r\n".join(["HTTP/1.0 400 Bad Request", *(f"{name}: {value}" for name, value in _NO_HTTP.items()), "", ""])
    + "Client sent an HTTP request to an HTTPS server.\n"
).encode()
_METHODS: Final = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ")

_log = structlog.get_logger()


class _HungUp(BaseException):
    """The client is gone, and nothing more is to be made for it; no Exception, which would get an error page."""


def _buffers(piece: int) -> int:
    """What a piece that is not taken in costs: itself, and in the kernel twice as much."""
    return 3 * piece


class Connection(H11Protocol):
    """A connection as uvicorn serves it, which tells the crowd how it keeps us waiting."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        crowd: Crowd,
        in_force: InForce | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logging.getLogger(CLIENTS_LOGGER)
        self.asking_since: float | None = None
        self.reading_since: float | None = None
        self.idle_since: float | None = None
        self.moved_at = 0.0
        self._crowd = crowd
        self._limits = crowd.limits
        self._piece_bytes = crowd.limits.roomy_bytes
        self._in_force = in_force
        self._raw: asyncio.Transport | None = None
        self._session: Session | None = None
        self._opening: asyncio.Task[None] | None = None
        self._early = b""
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

    def release(self) -> int:
        """Keep no more of the answer than the piece that is being sent, then close; give the size of what is left."""
        # As when the client has gone: uvicorn lets go of the answer, and the application ends.
        self.cycle.disconnected = True
        self.flow.resume_writing()
        self.transport.close()
        return _buffers(self._buffered())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Somebody is there; with TLS it is looked up first which certificate to show."""
        self._raw = transport
        # Whatever the kernel does not take at once counts as not taken in.
        transport.set_write_buffer_limits(high=0)
        self.asking_since = self._crowd.monotonic()
        self._crowd.came(self)
        if len(self._crowd) > self._limits.roomy:
            few = len(self._crowd) <= self._limits.several
            self._take_pieces(self._limits.several_bytes if few else self._limits.piece_bytes)
        if self._in_force is None or not self._in_force.has_tls:
            super().connection_made(transport)
        else:
            self._opening = self.loop.create_task(self._open(transport, self._in_force))

    async def _open(self, raw: asyncio.Transport, in_force: InForce) -> None:
        from exporter.web.access.tls import Session  # noqa: PLC0415 - OpenSSL takes 0.1 s to load: only who wants it pays

        rules = await in_force.rules()
        if raw.is_closing() or rules.context is None:
            raw.abort()
            return
        self._session = Session(rules.context)
        super().connection_made(TlsTransport(raw, self._session))
        raw.resume_reading()
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._crowd.went(self)
        self._taken_in()
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of the network: a handshake, a request, or parts of them."""
        if self._opening is not None and self._session is None:
            self._keep(data)
            return
        try:
            said = self._session.receive(data) if self._session else data
        except ConnectionError as error:
            self._turn_away(data, str(error))
            return
        self._flush()
        if said and self.asking_since is None and self.conn.their_state is h11.IDLE:
            self._asks()
        rest = memoryview(said)
        while rest and not self.transport.is_closing():
            size = self._fitting()
            piece, rest = rest[:size], rest[size:]
            if self._kept_back() + len(piece) > self._limits.header_bytes:
                self._crowd.exceeds(self)
                return
            super().data_received(bytes(piece))
        if self.asking_since is not None and self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}:
            self.asking_since = None
            self._crowd.changed(self)
        if self._session and self._session.is_over:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP: say so unless an answer has begun, and end. What came before is answered no more."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            has_body = self.conn.our_state is h11.IDLE or self.scope["method"] != "HEAD"
            refusal = h11.Response(status_code=400, headers=list(_NO_HTTP.items()), reason=b"Bad Request")
            text = [h11.Data(data=msg.encode())] if has_body else []
            for event in (refusal, *text, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """The answer is on its way; perhaps the next request is here already."""
        self._is_answering = False
        if not self._buffered():
            self._taken_in()
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.SEND_BODY:
            # The next request came behind this one and is not all here; uvicorn minds idle clients only.
            if self.asking_since is None:
                self._asks()
        elif self.conn.their_state is h11.IDLE:
            rest, _ = self.conn.trailing_data
            if rest:
                self._asks()
            else:
                self.asking_since, self.idle_since = None, self._crowd.monotonic()
                self._crowd.changed(self)

    def resume_writing(self) -> None:
        """The kernel has taken everything there was."""
        self.moved_at = self._crowd.monotonic()
        if not self._is_answering:
            self._taken_in()
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

    def _asks(self) -> None:
        self.asking_since, self.idle_since = self._crowd.monotonic(), None
        self._crowd.changed(self)

    def _taken_in(self) -> None:
        self.reading_since = None
        self._crowd.changed(self)
        self._crowd.keeps(self, 0)

    def _take_pieces(self, size: int) -> None:
        """Buffer so many bytes from now on, and let the kernel buffer as many (it doubles what it is told)."""
        self._piece_bytes = size
        connected = self._raw.get_extra_info("socket") if self._raw else None
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def _buffered(self) -> int:
        """What was written and the kernel has not taken yet."""
        return self._raw.get_write_buffer_size() if self._raw else 0

    def _flush(self) -> None:
        """Send what TLS itself has to say."""
        if self._session and self._raw and (own := self._session.outgoing()):
            self._raw.write(own)

    def _keep(self, data: bytes) -> None:
        """Keep what arrives before the session exists, and read no more until then.

        Reading is not paused from the start: before Python 3.11.4 asyncio ignores that in `connection_made`, and takes
        a later pause for the second one.
        """
        if self._raw is not None:
            self._raw.pause_reading()
        self._early += data
        if len(self._early) > self._limits.header_bytes:
            self._turn_away(self._early, "more than a handshake begins with")
            self._early = b""

    def _turn_away(self, data: bytes, reason: str) -> None:
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

    def _notice_hang_up(self) -> None:
        """End the application whose client is gone; asyncio tells only after this turn of the loop. Raises _HungUp."""
        if self._raw is None or self._raw.is_closing():
            self.cycle.disconnected = True
            raise _HungUp

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; hand its answer on in pieces, each when the one before was taken."""

        async def paced(message: Message) -> None:
            self._notice_hang_up()
            if message["type"] == "http.response.start":
                self.moved_at = self._crowd.monotonic()
                if self.reading_since is None:
                    self.reading_since = self.moved_at
                    self._crowd.changed(self)
                await send(message)
                return
            body = b"" if scope["method"] == "HEAD" else message.get("body", b"")
            # A copy is made of a piece; the rest is kept here, of what others are given too once for all.
            is_shared = message.get("shared", False)
            begin = 0
            while True:
                self._notice_hang_up()
                if self._taken_bytes > self._limits.reading_bytes and self._piece_bytes < self._limits.several_bytes:
                    # With small pieces in a crowd, it would wait for all others between any two of them.
                    self._take_pieces(self._limits.several_bytes)
                piece = body[begin : begin + self._piece_bytes]
                buffered = _buffers(len(piece))
                if is_shared:
                    self._crowd.keeps(self, buffered, body)
                else:
                    self._crowd.keeps(self, buffered + len(body))
                begin += len(piece)
                self._taken_bytes += len(piece)
                has_more = begin < len(body)
                await send({**message, "body": piece, "more_body": has_more or message.get("more_body", False)})
                if not has_more:
                    break
            self._crowd.keeps(self, _buffers(self._buffered()))

        self._is_answering = True
        self._taken_bytes = 0
        self.idle_since = None
        self._crowd.changed(self)
        refusal = refused_head(scope)
        with contextlib.suppress(_HungUp):
            await (refusal or self._inner)(scope, receive, paced)
