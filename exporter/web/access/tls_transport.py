"""What uvicorn writes to: a transport with TLS before it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.web.access.tls import TlsEngine


class TlsTransport(asyncio.Transport):
    """Encrypts what is written to it and hands it to the raw transport."""

    def __init__(self, raw: asyncio.Transport, session: TlsEngine) -> None:
        super().__init__()
        self._raw = raw
        self._tls = session

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection; by `sslcontext` uvicorn tells https from http."""
        return self._tls if name == "sslcontext" else self._raw.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send some bytes, encrypted; nothing once the connection ends."""
        if data and not self._raw.is_closing():
            self._raw.write(self._tls.encrypt(data))

    def close(self) -> None:
        """Say goodbye, then close when all is sent."""
        if not self._raw.is_closing():
            self._raw.write(self._tls.close_notify())
            self._raw.close()

    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self._raw.is_closing()

    def pause_reading(self) -> None:
        """Take nothing more from the network for now."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on with that."""
        self._raw.resume_reading()
