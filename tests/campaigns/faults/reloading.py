"""The moment that needs the whole program: a reload over HTTP during the fault."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from exporter import app
from exporter.app import ReloadOptions
from tests.campaigns.faults.case_context import CaseRun, Mark, Passed
from tests.campaigns.faults.case_queries import NOON
from tests.campaigns.faults.fault import ConnectionFault
from tests.campaigns.faults.scrapes import Scrape

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from exporter.config.schema import Config
    from tests.campaigns.faults.leak_watch import Watch

_DAY: Final = 86_400.0
# Responses are immediate; this only ends a test that hangs.
_TIMEOUT: Final = 300.0


@dataclass
class Daemon:
    """The whole program behind HTTP with a changing configuration."""

    run: CaseRun
    watch: Watch
    http: httpx.AsyncClient
    config: Config
    polls: int = 0
    turned: bool = False

    async def scraped(self) -> Scrape:
        at = self.run.clock.at
        return Scrape(at, (await self.http.get("/metrics")).text)

    async def reload(self, *, rate: int = 1000, broken: bool = False) -> None:
        """Reload with a changed query, which is polled now."""
        self.turned = not self.turned
        self.config = self.run.config(turned=self.turned, rate=rate, broken=broken)
        answer = await self.http.post("/-/reload")
        assert answer.status_code == 200, answer.text

    async def polled(self) -> Scrape:
        """Wait until the next poll has ended with any result."""
        self.polls += 1
        while self.watch.polls < self.polls:
            await asyncio.sleep(0.001)
        return await self.scraped()


@contextlib.asynccontextmanager
async def serving(run: CaseRun, watch: Watch) -> AsyncGenerator[Daemon]:
    places: asyncio.Queue[list[str]] = asyncio.Queue()
    stop = asyncio.Event()
    config = run.config()
    async with httpx.AsyncClient(timeout=_TIMEOUT) as http:
        daemon = Daemon(run, watch, http, config)
        running = asyncio.create_task(
            app.serve(
                config,
                run.environment,
                listen=["127.0.0.1:0"],
                telemetry_path="/metrics",
                stop=stop,
                reloads=ReloadOptions(lambda: daemon.config, asyncio.Event(), via_http=True),
                listening=places.put_nowait,
            )
        )
        try:
            http.base_url = httpx.URL((await places.get())[0])
            yield daemon
        finally:
            await http.aclose()
            stop.set()
            await running


async def while_reloading(run: CaseRun, daemon: Daemon) -> Passed:
    """A reload starts a poll with the fault; another cancels it and starts the next; then a good one."""
    case, service, clock = run.case, run.service, run.clock
    # The daemon serves one case after the other; none starts in the evening, as the first hour of a day has no plays.
    if (clock.at - NOON) % _DAY > _DAY / 4:
        clock.at += _DAY - (clock.at - NOON) % _DAY
    before = await daemon.scraped()
    service.returned = service.returned.only_published(before.plays)
    mark = Mark(service)
    clock.at += 1800  # data older than a query's interval is requested again
    holds = case.fault.connection_fault in (ConnectionFault.NONE, ConnectionFault.SILENT)
    if case.fault.act is not None:
        service.gate.clear()
    service.first_affected.clear()
    await run.break_()
    await daemon.reload(broken=True)
    if holds:
        await service.first_affected.wait()
    else:
        await daemon.polled()
    if case.fault.stalls:
        await service.repair(hang_up=False)
    clock.at += 1800
    await daemon.reload(rate=999, broken=True)
    service.gate.set()
    after = await daemon.polled()
    await service.repair()
    seen = mark.seen()
    clock.at += 3600
    await daemon.reload()
    recovered = await daemon.polled()
    return Passed(before, after, recovered, (before, after), **seen, wanted=run.wanted(), cut=True)
