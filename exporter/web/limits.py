"""What clients may take: how many at once, how long, how much; who has to go when it is too much. Knows no protocol."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_SWEEP_SECONDS: Final = 1.0
_TELL_SECONDS: Final = 60.0

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
    """An answer is handed to the kernel in such pieces, which keeps twice as much again; no client has more buffered."""
    several: int = 64
    several_bytes: int = 131_072
    """The pieces for connections that are made while there are no more than `several`."""
    roomy: int = 16
    """But the kernel keeps what it thinks right, and the pieces are larger, for those that come while there are no more
    than so many: most exporters are only ever asked by two or three, who wait for every piece."""
    roomy_bytes: int = 1_048_576
    """How large those are."""
    held_bytes: int = 67_108_864
    """All answers together that clients have not taken in yet."""


def fitting() -> Limits:
    """Limits for this process: as many connections as by default, or half of the file descriptors it can have.

    What it may have is raised to what it needs where that is allowed, as Go's runtime does for Prometheus: the usual
    1,024 are meant for programs that cannot count further.
    """
    default = Limits()
    wanted = 2 * default.connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return default
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    return Limits(connections=possible // 2)


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

    @property
    def held(self) -> int:
        """Bytes of the answer that are kept for it."""
        ...

    def release(self) -> None:
        """Keep no more of the answer for it: it may take what the kernel has, and then goes."""
        ...

    def end(self) -> None:
        """End it now, whatever it is doing."""
        ...


class Crowd:
    """Every connection there is, and the rule who has to go: who has kept us waiting longest without even asking."""

    def __init__(self, limits: Limits, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.monotonic = monotonic
        self._clients: set[Client] = set()
        self._readers: set[Client] = set()  # of those, who may still have something held for them
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
        if len(self._clients) > self.limits.connections:
            others = self._clients - {client}
            asking = [(each.asking_since, each) for each in others if each.asking_since is not None]
            reading = [(each.reading_since, each) for each in others if each.reading_since is not None]
            idle = [(each.idle_since, each) for each in others if each.idle_since is not None]
            _, leaving = min(asking or reading or idle or [(0.0, client)], key=lambda pair: pair[0])
            self._end(leaving, "crowded")

    def went(self, client: Client) -> None:
        """One less."""
        self._clients.discard(client)
        self._readers.discard(client)

    def takes(self, client: Client) -> None:
        """It begins to take in what is held for it; when that is too much of all, others get no more.

        First who holds most for longest without moving. They are not sent away: who reads nothing would come and ask
        again.
        """
        now = self.monotonic()
        readers = {each for each in self._readers if each.held and each is not client}
        self._readers = readers | {client}
        too_much = sum(each.held for each in self._readers) - self.limits.held_bytes
        for each in sorted(readers, key=lambda reader: reader.held * (reader.moved_at - now)):
            if too_much <= 0:
                break
            too_much -= each.held
            self._ended["held"] += 1
            each.release()

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
