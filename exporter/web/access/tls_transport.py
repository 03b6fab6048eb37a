"""A transport for uvicorn that encrypts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.web.access.tls import TlsEngine


class TlsTransport(asyncio.Transport):
    """Encrypts what is written to it and writes that to the raw transport."""

    def __init__(self, raw: asyncio.Transport, tls: TlsEngine) -> None:
        super().__init__()
        self._raw = raw
        self._tls = tls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return information on the connection; uvicorn detects https by `sslcontext`."""
        return self._tls if name == "sslcontext" else self._raw.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, encrypted; does nothing once the connection is closing."""
        if data and not self._raw.is_closing():
            self._raw.write(self._tls.encrypt(data))

    def close(self) -> None:
        """End the TLS session, and close the connection when everything is sent."""
        if not self._raw.is_closing():
            self._raw.write(self._tls.close_notify())
            self._raw.close()

    def is_closing(self) -> bool:
        """Return whether the connection is closing."""
        return self._raw.is_closing()

    def pause_reading(self) -> None:
        """Stop reading from the network."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Read from the network again."""
        self._raw.resume_reading()
