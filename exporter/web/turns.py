"""Spread costly steps over iterations of the event loop, so that no client waits for those of all others."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.web.client_groups import ClientGroup, Readers

if TYPE_CHECKING:
    from collections.abc import Hashable

NO_GROUP: Final = ClientGroup()

T = TypeVar("T")


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
    """The beginning of a handshake, or the first request."""
    PLAIN_REQUEST = 5
    """A request that does not accept gzip, while there are many connections."""
    PLAIN_RESPONSE = 6
    """A response, or its next chunk."""


class _Queue(OrderedDict["Hashable", T]):
    """Networks that wait for one step, or the kinds of clients of a network, or the clients of a kind."""

    is_oldest_next = False

    def pick(self) -> tuple[Hashable, T]:
        """Return the newest and the oldest alternately; it becomes the newest, because it is being served."""
        name = next(iter(self) if self.is_oldest_next else reversed(self))
        self.is_oldest_next = not self.is_oldest_next
        self.move_to_end(name)
        return name, self[name]


_Networks = _Queue[_Queue[_Queue["asyncio.Future[None]"]]]


class Turns:
    """Lets one client take its step in each iteration of the event loop.

    Every other turn belongs to `readers`, if any of them waits. Otherwise networks take turns, and so do the kinds of
    clients of a network: none waits for the many connections of another. Within each, the newest and the oldest
    alternate. Under more load than the process can serve, clients that connected long ago have disconnected, or are
    about to. In the order of arrival, every client would wait as long as they do; newest first only, some would wait
    for ever.
    """

    def __init__(self) -> None:
        self.readers = Readers()
        self._waiting: dict[Step, _Networks] = {step: _Queue() for step in Step}
        self._is_taken = False
        self._is_for_reader = False

    def take(self) -> bool:
        """Take the turn of this iteration; return whether it was free."""
        if self._is_taken:
            return False
        self._is_taken = True
        asyncio.get_running_loop().call_soon(self._next)
        return True

    async def wait(self, client: Hashable, step: Step, group: ClientGroup = NO_GROUP) -> None:
        """Return when it is the client's turn, or when it leaves; immediately if this iteration's turn is free."""
        if not self.take():
            turn = asyncio.get_running_loop().create_future()
            kinds = self._waiting[step].setdefault(group.network, _Queue())
            kinds.setdefault(group.kind, _Queue())[client] = turn
            try:
                await turn
            finally:
                self.leave(client, group)

    def leave(self, client: Hashable, group: ClientGroup = NO_GROUP) -> None:
        """End the wait of a client: it is its turn, or it is disconnected."""
        for networks in self._waiting.values():
            kinds = networks.get(group.network)
            clients = kinds.get(group.kind) if kinds else None
            if not (kinds and clients and client in clients):
                continue
            turn = clients.pop(client)
            if not turn.done():
                turn.set_result(None)
            if not clients:
                del kinds[group.kind]
            if not kinds:
                del networks[group.network]

    def _next(self) -> None:
        """Begin the turn of this iteration."""
        networks = next(filter(None, self._waiting.values()), None)
        self._is_taken = networks is not None
        if networks is not None:
            self._is_for_reader = not self._is_for_reader
            group = self.readers.pick(networks) if self._is_for_reader else None
            if group is None:
                network, kinds = networks.pick()
                kind, _ = kinds.pick()
                group = ClientGroup(network, kind)
            client, _ = networks[group.network][group.kind].pick()
            self.leave(client, group)
            asyncio.get_running_loop().call_soon(self._next)
