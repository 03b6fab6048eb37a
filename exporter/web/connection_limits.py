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
_TELL_SECONDS: Final = 60.0
# Descriptors that are not for clients: connections to the service, and files that are open for a moment.
_OTHER_DESCRIPTORS: Final = 8
_FEWEST_CONNECTIONS: Final = 2
# When too much is kept, so much of it goes at once: who has to go is then not looked for at every piece.
_MADE_ROOM: Final = 7 / 8

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """How much clients may take."""

    connections: int = 1_536
    header_bytes: int = 16_384
    """The head of a request; as much may follow it before it is answered."""
    request_seconds: float = 10.0
    """From the connection, or a request's first byte, to its last; the TLS handshake included."""
    reading_seconds: float = 30.0
    """From the first byte of an answer until the client has taken in the last."""
    idle_seconds: int = 75
    """Between two requests of a connection."""
    piece_bytes: int = 16_384
    """An answer is given to the kernel in such pieces, and the kernel keeps up to twice as much; one piece is what is
    buffered for a client."""
    several: int = 64
    several_bytes: int = 131_072
    """The pieces of connections that are made while there are no more than `several`."""
    reading_bytes: int = 524_288
    """Who has got so much of an answer does read, and gets these pieces too: it is more than kernels buffer."""
    roomy: int = 16
    roomy_bytes: int = 1_048_576
    """The pieces of connections that are made while there are no more than `roomy`, where the kernel keeps what it
    thinks right: most exporters are only ever asked by two or three, who wait for every piece."""
    held_bytes: int = 134_217_728
    """What is kept of all answers that clients have not taken in yet, the kernel's buffers included; what several share
    counts once."""


def fitting() -> Limits:
    """Limits for this process: as many connections as by default, or as the file descriptors it can have allow.

    What it may have is raised to what it needs where that is allowed, as Go's runtime does for Prometheus: the usual
    1,024 are meant for programs that cannot count further. Half of them are for connections, or what others leave.
    """
    default = Limits()
    wanted = 2 * default.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return default
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    left = possible - _open_descriptors() - _OTHER_DESCRIPTORS
    return Limits(connections=max(_FEWEST_CONNECTIONS, min(possible // 2, left)))


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - names are counted, no more
    except OSError:  # not mounted, or there is not even one left to look with
        return 0


class Client(Protocol):
    """One connection. Times are of the monotonic clock; None: it is not doing that."""

    @property
    def asking_since(self) -> float | None:
        """Since when it has been saying what it wants."""
        ...

    @property
    def reading_since(self) -> float | None:
        """Since when it has been taking in the answer."""
        ...

    @property
    def moved_at(self) -> float:
        """When it last took something in, or began to."""
        ...

    @property
    def idle_since(self) -> float | None:
        """Since when it has been silent between two requests."""
        ...

    def release(self) -> int:
        """Keep no more of the answer than the piece that is being sent, then close; give the size of what is left."""
        ...

    def end(self) -> None:
        """End it now, whatever it is doing."""
        ...


class Crowd:
    """Every connection there is, and the rule who has to go: who has kept us waiting longest without even asking.

    What an event costs does not depend on how many connections there are.
    """

    def __init__(self, limits: Limits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.monotonic = monotonic
        self.kept_bytes = 0
        self._clients: set[Client] = set()
        # Who asks, reads, is idle; in each, who does so for longest is first.
        self._asking: dict[Client, float] = {}
        self._reading: dict[Client, float] = {}
        self._idle: dict[Client, float] = {}
        self._kept: dict[Client, tuple[int, bytes]] = {}
        self._sharing: Counter[int] = Counter()  # by `id`, how many clients a part of an answer is kept for
        self._released: set[Client] = set()
        self._ended: Counter[str] = Counter()
        self._told_at = -_TELL_SECONDS

    def __len__(self) -> int:
        """How many there are."""
        return len(self._clients)

    def came(self, client: Client) -> None:
        """One more; when there are too many, another goes for it, or itself where everybody is being answered.

        Who has not asked yet loses nothing that it had, a reader loses its answer; who is idle may be about to scrape.
        """
        self._clients.add(client)
        self.changed(client)
        if len(self._clients) > self.limits.connections:
            self._end(next(self._by_patience(client), client), "crowded")

    def changed(self, client: Client) -> None:
        """It has begun to ask, to read or to be idle just now, or no longer does."""
        if client not in self._clients:
            return
        for queue, since in (
            (self._asking, client.asking_since),
            (self._reading, client.reading_since),
            (self._idle, client.idle_since),
        ):
            if queue.get(client) != since:
                queue.pop(client, None)
                if since is not None:
                    queue[client] = since

    def went(self, client: Client) -> None:
        """One less."""
        self._clients.discard(client)
        for queue in (self._asking, self._reading, self._idle):
            queue.pop(client, None)
        self._released.discard(client)
        self._keep(client, 0)

    def make_room(self) -> bool:
        """End one connection, because there is no descriptor for the next; whether there was any."""
        self._ended["descriptors"] += 1
        leaving = next(self._by_patience(), None)
        if leaving is not None:
            self.went(leaving)
            leaving.end()
        return leaving is not None

    def keeps(self, client: Client, own: int, shared: bytes = b"") -> None:
        """So many bytes are kept for it alone from now on, and a part of an answer that may be kept for others too.

        When that is too much of all, others get no more: first who has most kept for longest without moving. They are
        not sent away at once: who reads nothing would connect and ask again.
        """
        if client in self._clients:
            self._keep(client, own, shared)
        if self.kept_bytes <= self.limits.held_bytes:
            return
        now = self.monotonic()
        others = [
            ((its_own + len(part)) * (each.moved_at - now), number, each)
            for number, (each, (its_own, part)) in enumerate(self._kept.items())
            if each is not client
        ]
        for _, _, each in sorted(others):
            if self.kept_bytes <= self.limits.held_bytes * _MADE_ROOM:
                break
            if each in self._released:
                self._end(each, "held")
            else:
                self._ended["held"] += 1
                self._released.add(each)
                self._keep(each, each.release())

    def exceeds(self, client: Client) -> None:
        """It has sent more than is kept for anybody, and goes."""
        self._end(client, "sent")

    def sweep(self) -> None:
        """End who takes too long, and tell of all that were ended, once a minute at most."""
        now = self.monotonic()
        for client in tuple(self._clients):
            if client.asking_since is not None and now - client.asking_since > self.limits.request_seconds:
                self._end(client, "asking")
            elif client.reading_since is not None and now - client.reading_since > self.limits.reading_seconds:
                self._end(client, "reading")
        if self._ended and now - self._told_at >= _TELL_SECONDS:
            _log.warning(
                "connections ended",
                slow_requests=self._ended["asking"],
                slow_readers=self._ended["reading"],
                too_many_connections=self._ended["crowded"],
                too_much_unread=self._ended["held"],
                too_much_sent=self._ended["sent"],
                too_few_descriptors=self._ended["descriptors"],
                connections=len(self._clients),
            )
            self._ended.clear()
            self._told_at = now

    def end_askers(self) -> None:
        """End who has not asked anything yet: the program stops."""
        for client in tuple(self._clients):
            if client.asking_since is not None:
                client.end()

    async def watch(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Sweep every second until cancelled."""
        while True:
            await sleep(_SWEEP_SECONDS)
            self.sweep()

    def _by_patience(self, newcomer: Client | None = None) -> Iterator[Client]:
        """Who can be sent away, who should be first."""
        return (each for queue in (self._asking, self._reading, self._idle) for each in queue if each is not newcomer)

    def _keep(self, client: Client, own: int, shared: bytes = b"") -> None:
        own_before, shared_before = self._kept.pop(client, (0, b""))
        if own or shared:
            self._kept[client] = own, shared
        self.kept_bytes += own - own_before
        if shared:
            self._sharing[id(shared)] += 1
            self.kept_bytes += len(shared) * (self._sharing[id(shared)] == 1)
        if shared_before:
            self._sharing[id(shared_before)] -= 1
            if not self._sharing[id(shared_before)]:
                del self._sharing[id(shared_before)]
                self.kept_bytes -= len(shared_before)

    def _end(self, client: Client, why: str) -> None:
        self._ended[why] += 1
        self.went(client)
        client.end()


class Bucket:
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
