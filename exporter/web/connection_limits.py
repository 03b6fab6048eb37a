"""The limits of client connections: their number, times and buffered bytes."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from typing import Final

# Descriptors reserved for files that are open for a moment.
_OTHER_DESCRIPTORS: Final = 4
_API_CONNECTIONS: Final = 4
# Clients get at least this part of the descriptors: accounts rarely use all their connections at the same time.
_LEAST_PART: Final = 16
_FEWEST_CONNECTIONS: Final = 2
# An accepted connection counts two iterations of the event loop later, and the one that is closed for it frees its
# descriptor in the next. Since Python 3.14 asyncio accepts one more in each iteration.
_ITERATIONS: Final = 3
_ACCEPTED_BEYOND: Final = int(sys.version_info >= (3, 14))


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of all client connections together and of each."""

    connections: int = 1_536
    accepted_at_once: int = 16
    """How many connections are accepted in one iteration of the event loop. The connections that are closed
    to make room free their descriptors only afterwards, and more would delay the clients that are being served."""
    header_bytes: int = 16_384
    """Largest head of a request; up to as many bytes may follow it before it is answered."""
    request_seconds: float = 10.0
    """Longest time from the connection, or the first byte of a request, to its last; includes the TLS handshake."""
    response_seconds: float = 30.0
    """Longest time from the first byte of a response until the client has received the last."""
    idle_seconds: int = 75
    """Longest time between two requests of a connection."""
    chunk_bytes: int = 16_384
    """Responses are written in chunks of this size. One chunk is buffered for a client; the kernel buffers up to twice
    as much."""
    several: int = 64
    some_connections_chunk_bytes: int = 131_072
    """The chunk size of connections that are opened while there are at most `several`."""
    fast_reader_bytes: int = 524_288
    """A client that has taken this much of a response is reading it, because no kernel buffers as much; from then on it
    gets chunks of `some_connections_chunk_bytes`."""
    few_connections: int = 16
    few_connections_chunk_bytes: int = 1_048_576
    """The chunk size of connections that are opened while there are at most `few_connections`, with the kernel's
    default buffers: most exporters have two or three clients, and those wait for every chunk."""
    max_buffered_bytes: int = 134_217_728
    """Most bytes buffered of all responses that clients have not received yet, including the kernel's buffers; bytes
    that several responses share count once."""


def limits_for_process(api_connections: int = _API_CONNECTIONS) -> ConnectionLimits:
    """Return the default limits, with fewer connections if the process may not open enough file descriptors.

    Raises the soft limit of file descriptors as far as needed and allowed, as Go's runtime does for Prometheus: the
    usual 1,024 exist for programs that use select(). Connections get half of the descriptors, or what is left of them
    beside `api_connections` and those that are accepted before others are closed: otherwise none would be left for the
    API in a burst.
    """
    default = ConnectionLimits()
    wanted = 2 * default.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return default
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    left = max(possible - _open_descriptors() - _OTHER_DESCRIPTORS - api_connections, possible // _LEAST_PART)
    accepted_at_once = min(default.accepted_at_once, max(1, min(possible // 2, left) // 16))
    left -= _ITERATIONS * (accepted_at_once + _ACCEPTED_BEYOND)
    return ConnectionLimits(max(_FEWEST_CONNECTIONS, min(possible // 2, left)), accepted_at_once)


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - the names are only counted
    except OSError:  # not mounted, or no descriptor is left to open it
        return 0
