"""What clients may take: how many at once, how long, how much; who has to go when it is too much. Knows no protocol."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_SWEEP_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 60.0
# Descriptors that are not for clients: connections to the service, and files that are open for a moment.
_OTHER_DESCRIPTORS: Final = 8
_FEWEST_CONNECTIONS: Final = 2
# When too much is kept, so much of it goes at once: who has to go is then not looked for at every piece.
_FREED_TO: Final = 7 / 8

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How much clients may take."""

    connections: int = 1_536
    header_bytes: int = 16_384
    """The head of a request; as much may follow it before it is answered."""
    request_seconds: float = 10.0
    """From the connection, or a request's first byte, to its last; the TLS handshake included."""
    response_seconds: float = 30.0
    """From the first byte of an answer until the client has taken in the last."""
    idle_seconds: int = 75
    """Between two requests of a connection."""
    chunk_bytes: int = 16_384
    """An answer is given to the kernel in such pieces, and the kernel keeps up to twice as much; one piece is what is
    buffered for a client."""
    several: int = 64
    some_connections_chunk_bytes: int = 131_072
    """The pieces of connections that are made while there are no more than `several`."""
    fast_reader_bytes: int = 524_288
    """Who has got so much of an answer does read, and gets these pieces too: it is more than kernels buffer."""
    few_connections: int = 16
    few_connections_chunk_bytes: int = 1_048_576
    """The pieces of connections that are made while there are no more than `few_connections`, with the kernel's default
    buffers: most exporters are only ever asked by two or three, who wait for every piece."""
    max_buffered_bytes: int = 134_217_728
    """What is kept of all answers that clients have not taken in yet, the kernel's buffers included; what several share
    counts once."""


def limits_for_process() -> ConnectionLimits:
    """Limits for this process: as many connections as by default, or as the file descriptors it can have allow.

    What it may have is raised to what it needs where that is allowed, as Go's runtime does for Prometheus: the usual
    1,024 are meant for programs that cannot count further. Half of them are for connections, or what others leave.
    """
    default = ConnectionLimits()
    wanted = 2 * default.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return default
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    left = possible - _open_descriptors() - _OTHER_DESCRIPTORS
    return ConnectionLimits(connections=max(_FEWEST_CONNECTIONS, min(possible // 2, left)))


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - names are counted, no more
    except OSError:  # not mounted, or there is not even one left to look with
        return 0


class TrackedConnection(Protocol):
    """One connection. Times are of the monotonic clock; None: it is not doing that."""

    @property
    def request_started_at(self) -> float | None:
        """Since when it has been saying what it wants."""
        ...

    @property
    def response_started_at(self) -> float | None:
        """Since when it has been taking in the answer."""
        ...

    @property
    def last_progress_at(self) -> float:
        """When it last took something in, or began to."""
        ...

    @property
    def idle_since(self) -> float | None:
        """Since when it has been silent between two requests."""
        ...

    def drop_response(self) -> int:
        """Keep no more of the answer than the piece that is being sent, then close; give the size of what is left."""
        ...

    def end(self) -> None:
        """End it now, whatever it is doing."""
        ...


class ConnectionTracker:
    """Every connection there is, and the rule who has to go: who has kept us waiting longest without even asking.

    What an event costs does not depend on how many connections there are.
    """

    def __init__(self, limits: ConnectionLimits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.monotonic = monotonic
        self.buffered_bytes = 0
        self._connections_open: set[TrackedConnection] = set()
        # Who asks, reads, is idle; in each, who does so for longest is first.
        self._requesting: dict[TrackedConnection, float] = {}
        self._responding: dict[TrackedConnection, float] = {}
        self._idle: dict[TrackedConnection, float] = {}
        self._buffered: dict[TrackedConnection, tuple[int, bytes]] = {}
        self._shared_counts: Counter[int] = Counter()  # by `id`, how many clients a part of an answer is kept for
        self._dropped: set[TrackedConnection] = set()
        self._closed_counts: Counter[str] = Counter()
        self._logged_at = -_LOG_SECONDS

    def __len__(self) -> int:
        """How many there are."""
        return len(self._connections_open)

    def add(self, client: TrackedConnection) -> None:
        """One more; when there are too many, another goes for it, or itself where everybody is being answered.

        Who has not asked yet loses nothing that it had, a reader loses its answer; who is idle may be about to scrape.
        """
        self._connections_open.add(client)
        self.update(client)
        if len(self._connections_open) > self.limits.connections:
            self._evict(next(self._eviction_order(client), client), "crowded")

    def update(self, client: TrackedConnection) -> None:
        """It has begun to ask, to read or to be idle just now, or no longer does."""
        if client not in self._connections_open:
            return
        for queue, since in (
            (self._requesting, client.request_started_at),
            (self._responding, client.response_started_at),
            (self._idle, client.idle_since),
        ):
            if queue.get(client) != since:
                queue.pop(client, None)
                if since is not None:
                    queue[client] = since

    def remove(self, client: TrackedConnection) -> None:
        """One less."""
        self._connections_open.discard(client)
        for queue in (self._requesting, self._responding, self._idle):
            queue.pop(client, None)
        self._dropped.discard(client)
        self._set_buffered(client, 0)

    def evict_one(self) -> bool:
        """End one connection, because there is no descriptor for the next; whether there was any."""
        self._closed_counts["descriptors"] += 1
        leaving = next(self._eviction_order(), None)
        if leaving is not None:
            self.remove(leaving)
            leaving.end()
        return leaving is not None

    def set_buffered(self, client: TrackedConnection, own: int, shared: bytes = b"") -> None:
        """So many bytes are kept for it alone from now on, and a part of an answer that may be kept for others too.

        When that is too much of all, others get no more: first who has most kept for longest without moving. They are
        not sent away at once: who reads nothing would connect and ask again.
        """
        if client in self._connections_open:
            self._set_buffered(client, own, shared)
        if self.buffered_bytes <= self.limits.max_buffered_bytes:
            return
        now = self.monotonic()
        others = [
            ((its_own + len(part)) * (each.last_progress_at - now), number, each)
            for number, (each, (its_own, part)) in enumerate(self._buffered.items())
            if each is not client
        ]
        for _, _, each in sorted(others):
            if self.buffered_bytes <= self.limits.max_buffered_bytes * _FREED_TO:
                break
            if each in self._dropped:
                self._evict(each, "held")
            else:
                self._closed_counts["held"] += 1
                self._dropped.add(each)
                self._set_buffered(each, each.drop_response())

    def evict_oversized(self, client: TrackedConnection) -> None:
        """It has sent more than is kept for anybody, and goes."""
        self._evict(client, "sent")

    def sweep(self) -> None:
        """End who takes too long, and tell of all that were ended, once a minute at most."""
        now = self.monotonic()
        for client in tuple(self._connections_open):
            if client.request_started_at is not None and now - client.request_started_at > self.limits.request_seconds:
                self._evict(client, "asking")
            elif (
                client.response_started_at is not None
                and now - client.response_started_at > self.limits.response_seconds
            ):
                self._evict(client, "reading")
        if self._closed_counts and now - self._logged_at >= _LOG_SECONDS:
            _log.warning(
                "connections closed",
                slow_requests=self._closed_counts["asking"],
                slow_readers=self._closed_counts["reading"],
                too_many_connections=self._closed_counts["crowded"],
                too_much_unread=self._closed_counts["held"],
                too_much_sent=self._closed_counts["sent"],
                too_few_descriptors=self._closed_counts["descriptors"],
                connections=len(self._connections_open),
            )
            self._closed_counts.clear()
            self._logged_at = now

    def abort_pending(self) -> None:
        """End who has not asked anything yet: the program stops."""
        for client in tuple(self._connections_open):
            if client.request_started_at is not None:
                client.end()

    async def watch(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Sweep every second until cancelled."""
        while True:
            await sleep(_SWEEP_SECONDS)
            self.sweep()

    def _eviction_order(self, newcomer: TrackedConnection | None = None) -> Iterator[TrackedConnection]:
        """Who can be sent away, who should be first."""
        return (
            each for queue in (self._requesting, self._responding, self._idle) for each in queue if each is not newcomer
        )

    def _set_buffered(self, client: TrackedConnection, own: int, shared: bytes = b"") -> None:
        own_before, shared_before = self._buffered.pop(client, (0, b""))
        if own or shared:
            self._buffered[client] = own, shared
        self.buffered_bytes += own - own_before
        if shared:
            self._shared_counts[id(shared)] += 1
            self.buffered_bytes += len(shared) * (self._shared_counts[id(shared)] == 1)
        if shared_before:
            self._shared_counts[id(shared_before)] -= 1
            if not self._shared_counts[id(shared_before)]:
                del self._shared_counts[id(shared_before)]
                self.buffered_bytes -= len(shared_before)

    def _evict(self, client: TrackedConnection, why: str) -> None:
        self._closed_counts[why] += 1
        self.remove(client)
        client.end()


class TokenBucket:
    """So many requests at once, and one more every so many seconds."""

    def __init__(self, interval: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._burst = burst
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._at = monotonic()

    def take(self) -> bool:
        """Whether there is one left, which is then gone."""
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) / self._interval)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
