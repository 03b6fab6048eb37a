"""Names looked up by the system, beside everything else: a name server that does not answer holds up nothing."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING, Any

from exporter.single_flight import SharedThreads
from exporter.vod import network_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.vod.tcp_stream import Address


class Resolver:
    """Looks up names, each once at a time, in threads that nothing waits for; one for all accounts."""

    def __init__(self, getaddrinfo: Callable[..., Sequence[tuple[Any, ...]]] | None = None) -> None:
        """`getaddrinfo` is the system's by default; it may block."""
        self._getaddrinfo = getaddrinfo
        self._threads: SharedThreads[Sequence[tuple[Any, ...]]] = SharedThreads()

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host, in the order in which they are to be tried. Raises NetworkError."""
        # Looked up each time, so that it is the one of this moment.
        look_up = partial(self._getaddrinfo or socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await self._threads.run((host, port), look_up, f"resolving {host}"[:40])
        except (OSError, UnicodeError) as error:
            raise network_errors.unresolved(host, error) from None
        return [(entry[0], entry[4]) for entry in found]
