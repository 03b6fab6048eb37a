"""Track open connections, and decide which is closed first; knows no protocol."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from exporter.web.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from exporter.web.client_groups import ClientGroup
    from exporter.web.connection_limits import ConnectionLimits
    from exporter.web.turns import Step

_SWEEP_SECONDS: Final = 1.0
_LOG_SECONDS: Final = 60.0
_TOO_FEW_DESCRIPTORS: Final = "Raise ulimit -n (LimitNOFILE= in a systemd unit)."
_TOO_MANY_CLIENTS: Final = "Scrapes continue. Let only Prometheus reach the port, for example by a network policy."
# Once too much is buffered, drop responses until this share of the limit is left, so that the clients need not be
# sorted again at every chunk.
_FREED_TO: Final = 7 / 8

_log = structlog.get_logger()


class TrackedConnection(Protocol):
    """One connection. Times are of the monotonic clock; None: it is not in that state."""

    @property
    def request_started_at(self) -> float | None:
        """When the request that is not complete yet started."""
        ...

    @property
    def response_started_at(self) -> float | None:
        """When the response that is not received yet started."""
        ...

    @property
    def last_progress_at(self) -> float:
        """When the kernel last took all written bytes, or the response started."""
        ...

    @property
    def idle_since(self) -> float | None:
        """When its last response ended, if no request has started since."""
        ...

    def drop_response(self) -> int:
        """Drop the response except for the chunk being sent, then close; return the bytes that stay buffered."""
        ...

    def end(self) -> None:
        """Abort the connection, whatever its state."""
        ...


class WaitingConnection(TrackedConnection, Protocol):
    """A connection that waits for turns, and which others are like it."""

    group: ClientGroup

    async def wait_for_turn(self, step: Step) -> None:
        """Return when it is its turn, or when its client is gone."""
        ...


class ConnectionTracker:
    """All open connections, and which of them is closed first: the one whose request has been incomplete for longest.

    The cost of an event does not depend on the number of connections.
    """

    def __init__(self, limits: ConnectionLimits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.monotonic = monotonic
        self.buffered_bytes = 0
        self.turns = Turns()
        self._connections_open: set[TrackedConnection] = set()
        # Connections by state; each dictionary begins with the one that has been in this state for longest.
        self._requesting: dict[TrackedConnection, float] = {}
        self._responding: dict[TrackedConnection, float] = {}
        self._idle: dict[TrackedConnection, float] = {}
        self._buffered: dict[TrackedConnection, tuple[int, bytes]] = {}
        self._shared_counts: Counter[int] = Counter()  # by `id`, how many clients a part is buffered for
        self._dropped: set[TrackedConnection] = set()
        self._closed_counts: Counter[str] = Counter()
        self._logged_at = -_LOG_SECONDS

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._connections_open)

    def add(self, client: TrackedConnection) -> None:
        """Add a connection; above the limit, close another for it, or itself if no other can be closed.

        Incomplete requests are closed first, since their clients lose nothing yet; then responses; idle connections
        last, since their clients may be about to scrape.
        """
        self._connections_open.add(client)
        self.update(client)
        if len(self._connections_open) > self.limits.connections:
            self._evict(next(self._eviction_order(client), client), "crowded")

    def update(self, client: TrackedConnection) -> None:
        """Note that the state of a connection has changed just now."""
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
        """Forget a connection, which is closed."""
        self._connections_open.discard(client)
        for queue in (self._requesting, self._responding, self._idle):
            queue.pop(client, None)
        self._dropped.discard(client)
        self._set_buffered(client, 0)

    def evict_one(self) -> bool:
        """Close one connection to free its descriptor for the next; return whether there was one to close."""
        self._closed_counts["descriptors"] += 1
        victim = next(self._eviction_order(), None)
        if victim is not None:
            self.remove(victim)
            victim.end()
        return victim is not None

    def set_buffered(self, client: TrackedConnection, own: int, shared: bytes = b"") -> None:
        """Set what is buffered for a connection: bytes of its `own`, and a part that others may share.

        Above the limit, the responses of other connections are dropped, first those with the most bytes and the
        longest time without progress. Their connections are not closed yet: a client that reads nothing would connect
        and send its request again.
        """
        if client in self._connections_open:
            self._set_buffered(client, own, shared)
        if self.buffered_bytes <= self.limits.max_buffered_bytes:
            return
        now = self.monotonic()
        others = [
            ((other_own + len(part)) * (each.last_progress_at - now), number, each)
            for number, (each, (other_own, part)) in enumerate(self._buffered.items())
            if each is not client
        ]
        for _, _, each in sorted(others):
            if self.buffered_bytes <= self.limits.max_buffered_bytes * _FREED_TO:
                break
            if each in self._dropped:
                self._evict(each, "unread")
            else:
                self._closed_counts["unread"] += 1
                self._dropped.add(each)
                self._set_buffered(each, each.drop_response())

    def evict_oversized(self, client: TrackedConnection) -> None:
        """Close a connection that has sent more than is buffered for one."""
        self._evict(client, "oversized")

    def sweep(self) -> None:
        """Close connections that take too long, and log all that were closed, at most once a minute."""
        now = self.monotonic()
        for client in tuple(self._connections_open):
            if client.request_started_at is not None and now - client.request_started_at > self.limits.request_seconds:
                self._evict(client, "slow request")
            elif (
                client.response_started_at is not None
                and now - client.response_started_at > self.limits.response_seconds
            ):
                self._evict(client, "slow reader")
        if self._closed_counts and now - self._logged_at >= _LOG_SECONDS:
            _log.warning(
                "connections closed",
                slow_requests=self._closed_counts["slow request"],
                slow_readers=self._closed_counts["slow reader"],
                too_many_connections=self._closed_counts["crowded"],
                too_much_unread=self._closed_counts["unread"],
                too_much_sent=self._closed_counts["oversized"],
                too_few_descriptors=self._closed_counts["descriptors"],
                connections=len(self._connections_open),
                advice=_TOO_FEW_DESCRIPTORS if self._closed_counts["descriptors"] else _TOO_MANY_CLIENTS,
            )
            self._closed_counts.clear()
            self._logged_at = now

    def abort_pending(self) -> None:
        """Close connections without a complete request, because the program stops."""
        for client in tuple(self._connections_open):
            if client.request_started_at is not None:
                client.end()

    async def watch(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Sweep every second until cancelled."""
        while True:
            await sleep(_SWEEP_SECONDS)
            self.sweep()

    def _eviction_order(self, newcomer: TrackedConnection | None = None) -> Iterator[TrackedConnection]:
        """Yield the connections that can be closed, in the order in which to close them."""
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
