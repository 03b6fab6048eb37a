"""Spread costly steps over iterations of the event loop, so that no client waits for those of all others."""

from __future__ import annotations

import asyncio
from enum import IntEnum


class Step(IntEnum):
    """What a client waits for; the lower ones first."""

    COMPRESSED_RESPONSE = 0
    """What Prometheus requests, and the cheapest for its size."""
    OPENING_FOR_SCRAPE = 1
    """After the responses: newcomers must not delay a scrape that has begun."""
    OPENING = 2
    """The handshake, or the first request."""
    PLAIN_RESPONSE = 3


class Turns:
    """Lets one client take its step in each iteration of the event loop: the newest and the oldest in turns.

    Under more load than the process can serve, clients that connected long ago have given up, or are about to. In the
    order of arrival, every client would wait as long as they do; newest first only, some would wait for ever.
    """

    def __init__(self) -> None:
        self._waiting: dict[Step, dict[object, asyncio.Future[None]]] = {step: {} for step in Step}
        self._is_taken = False
        self._is_oldest_next = False

    def take(self) -> bool:
        """Take the turn of this iteration; return whether it was free."""
        if self._is_taken:
            return False
        self._is_taken = True
        asyncio.get_running_loop().call_soon(self._next)
        return True

    async def wait(self, client: object, step: Step) -> None:
        """Return when it is the client's turn, or when it leaves; immediately if this iteration's turn is free."""
        if not self.take():
            turn = self._waiting[step][client] = asyncio.get_running_loop().create_future()
            try:
                await turn
            finally:
                self._remove(client)

    def leave(self, client: object) -> None:
        """End the wait of a client that is disconnected."""
        if (turn := self._remove(client)) and not turn.done():
            turn.set_result(None)

    def _remove(self, client: object) -> asyncio.Future[None] | None:
        return next((turn for waiting in self._waiting.values() if (turn := waiting.pop(client, None))), None)

    def _next(self) -> None:
        """Begin the turn of this iteration."""
        waiting = next(filter(None, self._waiting.values()), None)
        self._is_taken = waiting is not None
        if waiting is not None:
            turn = waiting.pop(next(iter(waiting) if self._is_oldest_next else reversed(waiting)))
            self._is_oldest_next = not self._is_oldest_next
            if not turn.done():
                turn.set_result(None)
            asyncio.get_running_loop().call_soon(self._next)
