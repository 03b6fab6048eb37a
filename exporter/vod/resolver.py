"""Resolve host names without blocking: a name server that does not respond delays nothing else."""

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
    """Resolves each host name at most once at a time, in threads that the exit does not wait for; for all accounts."""

    def __init__(self, getaddrinfo: Callable[..., Sequence[tuple[Any, ...]]] | None = None) -> None:
        """`getaddrinfo` is the system's by default; it may block."""
        self._getaddrinfo = getaddrinfo
        self._threads: SharedThreads[Sequence[tuple[Any, ...]]] = SharedThreads()

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """The addresses of a host, in the order to try them. Raises NetworkError."""
        # Read at each call, so that a replaced `socket.getaddrinfo` is used.
        look_up = partial(self._getaddrinfo or socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await self._threads.run((host, port), look_up, f"resolving {host}"[:40])
        except (OSError, UnicodeError) as error:
            raise network_errors.unresolved(host, error) from None
        return [(entry[0], entry[4]) for entry in found]
