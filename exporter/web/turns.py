"""Spread costly steps over iterations of the event loop, so that no client waits for those of all others."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from enum import IntEnum


class Step(IntEnum):
    """What a client waits for; the lower ones first."""

    REPEATED_RESPONSE = 0
    """To a client that has received such a response over this connection, as a scraper has."""
    COMPRESSED_RESPONSE = 1
    """What Prometheus requests, and the cheapest for its size."""
    OPENING_FOR_SCRAPE = 2
    """After the responses: newcomers must not delay a scrape that has begun."""
    HANDSHAKE = 3
    """The rest of a handshake: what is begun is finished before more is begun."""
    OPENING = 4
    """The begin of a handshake, or the first request."""
    PLAIN_REQUEST = 5
    """A request that does not accept gzip, while there are many connections."""
    PLAIN_RESPONSE = 6
    """A response, or its next chunk."""


def network_of(address: str) -> str:
    """Return what distinguishes clients: an IPv4 address, or the first 64 bits of an IPv6 address.

    Everyone with IPv6 has 2^64 addresses.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Address(int(parsed) >> 64 << 64))


class _Queue(dict[object, "asyncio.Future[None]"]):
    """The clients of one network that wait for one step, in order of arrival."""

    is_oldest_next = False

    def take_next(self) -> asyncio.Future[None]:
        """Remove and return the newest or the oldest in turns."""
        turn = self.pop(next(iter(self) if self.is_oldest_next else reversed(self)))
        self.is_oldest_next = not self.is_oldest_next
        return turn


class Turns:
    """Lets one client take its step in each iteration of the event loop.

    Networks take turns, so that none waits for the crowd of another; of a network, the newest and the oldest client.
    Under more load than the process can serve, clients that connected long ago have given up, or are about to. In the
    order of arrival, every client would wait as long as they do; newest first only, some would wait for ever.
    """

    def __init__(self) -> None:
        self._waiting: dict[Step, OrderedDict[str, _Queue]] = {step: OrderedDict() for step in Step}
        self._is_taken = False

    def take(self) -> bool:
        """Take the turn of this iteration; return whether it was free."""
        if self._is_taken:
            return False
        self._is_taken = True
        asyncio.get_running_loop().call_soon(self._next)
        return True

    async def wait(self, client: object, step: Step, network: str = "") -> None:
        """Return when it is the client's turn, or when it leaves; immediately if this iteration's turn is free."""
        if not self.take():
            turn = asyncio.get_running_loop().create_future()
            self._waiting[step].setdefault(network, _Queue())[client] = turn
            try:
                await turn
            finally:
                self._remove(client, network)

    def leave(self, client: object, network: str = "") -> None:
        """End the wait of a client that is disconnected."""
        if (turn := self._remove(client, network)) and not turn.done():
            turn.set_result(None)

    def _remove(self, client: object, network: str) -> asyncio.Future[None] | None:
        for networks in self._waiting.values():
            clients = networks.get(network)
            if clients is not None and (turn := clients.pop(client, None)):
                if not clients:
                    del networks[network]
                return turn
        return None

    def _next(self) -> None:
        """Begin the turn of this iteration."""
        networks = next(filter(None, self._waiting.values()), None)
        self._is_taken = networks is not None
        if networks is not None:
            network, clients = next(iter(networks.items()))
            turn = clients.take_next()
            networks.move_to_end(network)
            if not clients:
                del networks[network]
            if not turn.done():
                turn.set_result(None)
            asyncio.get_running_loop().call_soon(self._next)
