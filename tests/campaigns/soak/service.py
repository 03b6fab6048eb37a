"""The simulated service on a socket, in a thread, with a record of what it returned."""

from __future__ import annotations

import asyncio
import contextlib
import json
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from exporter.simulator.options import SimulatorOptions
from exporter.simulator.service import Simulator
from exporter.web.server import bound, serving, urls
from tests.campaigns.soak.service_history import Returned

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from starlette.types import Message, Receive, Scope, Send

    from exporter.simulator.dataset import Dataset

MEDIA: Final = 110
"""More than a page."""
_GLANCE: Final = 0.002
# Of the event loop: more than a request takes from its connection to the application, and there from step to step.
_TURNS: Final = 20
_OK: Final = 200


class Service:
    """The service; `requests`: requests so far. All methods are for the main thread."""

    def __init__(self, seed: int, now: Callable[[], float]) -> None:
        self.returned = Returned()
        self.requests = 0
        self.url = ""
        self._now = now
        self._events = 0
        self._sleep_ends: list[float] = []
        self._at: tuple[int, Callable[[], object]] | None = None
        self._simulator = Simulator(SimulatorOptions(seed=seed, media=MEDIA), clock=now, sleep=self._sleep)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    @property
    def dataset(self) -> Dataset:
        return self._simulator.dataset

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of requests by outcome: OK, an error code, or the name of a fault."""
        return dict(self._simulator.request_log.counts.get("DescribeVodMediaPlayData", {}))

    def change(self, **conditions: Any) -> None:
        """Change the conditions; returns when they are in effect."""
        done = Event()

        def change() -> None:
            self._simulator.change(**conditions)
            done.set()

        self._loop.call_soon_threadsafe(change)
        done.wait()

    def is_waiting(self) -> bool:
        """Whether nothing happens to any request unless time passes or the client closes its connection."""
        return asyncio.run_coroutine_threadsafe(self._is_waiting(), self._loop).result()

    async def _is_waiting(self) -> bool:
        before = self._events
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return self._events == before and all(end > self._now() for end in self._sleep_ends)

    def at_request(self, number: int, then: Callable[[], object]) -> None:
        """Call `then` during the request that is `number` from now, once."""
        self._at = self.requests + number, then

    def disarm(self) -> None:
        self._at = None

    @contextlib.contextmanager
    def serving(self) -> Generator[None]:
        """On a socket of its own."""
        listening = Event()

        async def serve() -> None:
            with bound(["127.0.0.1:0"]) as sockets:
                async with serving(self._app, sockets, date_header=False):
                    (self.url,) = urls(sockets)
                    listening.set()
                    await self._stop.wait()
                    self._simulator.close()

        thread = Thread(target=self._loop.run_until_complete, args=[serve()])
        thread.start()
        listening.wait()
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join()
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _sleep(self, seconds: float) -> None:
        """Sleeps by the clock that is skipped."""
        end = self._now() + seconds
        self._sleep_ends.append(end)
        try:
            while self._now() < end:
                await asyncio.sleep(_GLANCE)
        finally:
            self._sleep_ends.remove(end)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        self._events += 1
        if self._at and self.requests >= self._at[0]:
            then, self._at = self._at[1], None
            then()
        status, body = 0, b""

        async def tapped(message: Message) -> None:
            nonlocal status, body
            self._events += 1
            status = message.get("status", status)
            body += message.get("body", b"")
            if status == _OK and message["type"] == "http.response.body" and not message.get("more_body"):
                # Before it is sent: the exporter may publish it at once.
                self._record(dict(parse_qsl(scope["query_string"].decode())), body)
            await send(message)

        try:
            await self._simulator.app(scope, receive, tapped)
        finally:
            self._events += 1

    def _record(self, parameters: dict[str, str], body: bytes) -> None:
        with contextlib.suppress(ValueError):  # half a response, or none
            payload = json.loads(body)
            if isinstance(payload, dict) and "RequestId" in payload:
                self.returned.record(parameters, payload)
