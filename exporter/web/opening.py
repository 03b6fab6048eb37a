"""Open a connection: read the current certificate, wait for turns, make the handshake, reject what is not TLS."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from exporter.web.access.middleware import HEADERS
from exporter.web.client_groups import kind_of_hello, kind_of_request
from exporter.web.turns import Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.web.access.live_config import LiveWebConfig
    from exporter.web.access.tls import TlsEngine
    from exporter.web.connection_tracker import ConnectionTracker, WaitingConnection

# The headers of responses that no application makes.
PLAIN_HEADERS: Final = {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
_PLAIN_ON_TLS: Final = (
    "\r\n".join(["HTTP/1.0 400 Bad Request", *(f"{name}: {value}" for name, value in PLAIN_HEADERS.items()), "", ""])
    + "Client sent an HTTP request to an HTTPS server.\n"
).encode()
_METHODS: Final = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ")
# More than any flight of a client: OpenSSL accepts certificates of 100 KiB.
_LARGEST_FLIGHT: Final = 131_072
# Part of the head of a scrape by Prometheus.
_GZIP: Final = b"gzip"

_log = structlog.get_logger()


def decrypt(raw: asyncio.Transport, tls: TlsEngine, data: bytes) -> bytes | None:
    """Decrypt bytes from the network, and send what TLS answers; invalid ones close the connection: None."""
    try:
        plaintext = tls.receive(data)
    except ConnectionError as error:
        _reject_handshake(raw, data, tls.pending(), str(error))
        return None
    if own := tls.pending():
        raw.write(own)
    return plaintext


def _reject_handshake(raw: asyncio.Transport, data: bytes, alert: bytes, reason: str) -> None:
    """Close a connection whose client sent `data` instead of a valid handshake; explain it to clients without TLS."""
    if raw.is_closing():
        return
    raw.write(_PLAIN_ON_TLS if data.startswith(_METHODS) else alert)
    peer = raw.get_extra_info("peername")
    _log.debug("TLS handshake failed", client=peer[0] if peer else "", error=reason)
    raw.close()


class Opening:
    """A connection until it is open; `opened` is then called with its TLS engine and the bytes for the application.

    Each flight of a handshake waits for a turn. Reading is not paused meanwhile, so that a hang-up is noticed.
    """

    def __init__(
        self,
        client: WaitingConnection,
        raw: asyncio.Transport,
        tracker: ConnectionTracker,
        web_access: LiveWebConfig | None,
        opened: Callable[[TlsEngine | None, bytes], None],
    ) -> None:
        self._client = client
        self._raw = raw
        self._tracker = tracker
        self._web_access = web_access if web_access is not None and web_access.has_tls else None
        self._opened = opened
        self._waiting: asyncio.Task[None] | None = None
        self._tls: TlsEngine | None = None
        self._data = b""

    def receive(self, data: bytes) -> None:
        """Handle bytes from the network: go on, or buffer them if anything needs to be waited for."""
        if self._raw.is_closing():
            return
        if self._tls is None and not self._data:
            kind_of = kind_of_request if self._web_access is None else kind_of_hello
            self._client.group = replace(self._client.group, kind=kind_of(data))
        self._data += data
        if self._waiting is None:
            if (self._web_access is None or self._tls is not None) and self._tracker.turns.take():
                self._go_on()
                return
            self._waiting = asyncio.get_running_loop().create_task(self._wait())
        limit = self._tracker.limits.header_bytes if self._tls is None else _LARGEST_FLIGHT
        if len(self._data) > limit:
            if self._web_access is None:
                self._tracker.evict_oversized(self._client)
            else:
                _reject_handshake(self._raw, self._data, b"", "too much data before the handshake")

    def cancel(self) -> None:
        """Stop waiting."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def _wait(self) -> None:
        if self._web_access is None or self._tls is not None:
            await self._client.wait_for_turn(self._step())
        else:
            policy = await self._web_access.policy()
            await self._client.wait_for_turn(self._step())
            if policy.context is None:
                self._raw.abort()
            else:
                from exporter.web.access.tls import TlsEngine  # noqa: PLC0415 - OpenSSL takes 0.1 s to load, which only TLS needs

                self._tls = TlsEngine(policy.context)
        self._waiting = None
        if not self._raw.is_closing():
            self._go_on()

    def _step(self) -> Step:
        if self._tls is not None:
            return Step.HANDSHAKE
        is_scrape = self._web_access is None and _GZIP in self._data
        return Step.OPENING_FOR_SCRAPE if is_scrape else Step.OPENING

    def _go_on(self) -> None:
        data, self._data = self._data, b""
        if self._tls is None:
            self._opened(None, data)
            return
        plaintext = decrypt(self._raw, self._tls, data)
        if plaintext is not None and self._tls.is_open:
            self._opened(self._tls, plaintext)
