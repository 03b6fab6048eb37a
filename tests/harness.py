"""The real program under test: exporter and simulator on loopback, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from exporter.app import Runtime, assemble_daemon
from exporter.config.loader import loads
from exporter.core import play_dates
from exporter.simulator.options import SimulatorOptions
from exporter.simulator.service import Simulator
from exporter.web.server import bound, serving, urls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from exporter.config.schema import Config
    from exporter.daemon import Daemon

# A Sunday, after 09:00 UTC+8: yesterday is final.
NOON = datetime.fromisoformat("2024-03-24T12:00:00+08:00").timestamp()

CONFIGURATION = """
accounts:
  - name: main
    endpoint: ENDPOINT
    credentials: {access_key_id: simulator, access_key_secret: simulator-secret}
    timeout: TIMEOUT
    limits: {requests_per_second: 1000, concurrency: 8}
queries:
  - {name: q, media: MEDIA, dimensions: DIMENSIONS, days_ago: DAYS_AGO, every: 15m, expected: false}
"""


@dataclass
class Clock:
    """A clock that advances only when the exporter sleeps or the test moves it."""

    at: float = NOON
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += seconds
        await asyncio.sleep(0)


def configuration(
    endpoint: str,
    *,
    media: str = "all",
    dimensions: str = "[{}]",
    days_ago: str = "[1]",
    expected: str = "false",
    timeout: str = "10s",
    text: str = CONFIGURATION,
) -> Config:
    for name, value in (
        ("ENDPOINT", endpoint),
        ("TIMEOUT", timeout),
        ("MEDIA", media),
        ("DIMENSIONS", dimensions),
        ("DAYS_AGO", days_ago),
        ("expected: false", f"expected: {expected}"),
    ):
        text = text.replace(name, value)
    return loads(text, file="config.yaml", environ={})


@dataclass
class Harness:
    """The exporter, the simulator that it polls, and their clock."""

    exporter: Daemon
    simulator: Simulator
    clock: Clock

    async def poll(self, *, later: float = 0.0) -> str:
        """Poll every query once, `later` seconds later; returns the results."""
        self.clock.at += later
        for query in self.exporter.queries:
            await self.exporter.poll(query)
        return ",".join(report.result for report in self.exporter.reports())

    async def metrics(self) -> str:
        return (await self.exporter.scrape(None, None)).body.decode()

    async def series(self, pattern: str) -> dict[str, float]:
        """The series whose text matches, with their values."""
        lines = [line.rpartition(" ") for line in (await self.metrics()).splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines if re.search(pattern, name)}

    async def plays(self, days_ago: int = 1, dimensions: str = "") -> dict[str, float]:
        """Plays by media ID."""
        found = await self.series(rf'^aliyun_vod_media_plays{{.*{dimensions}.*days_ago="{days_ago}"')
        return {re.findall(r'media_id="([^"]*)"', name)[0]: value for name, value in found.items()}

    async def errors(self) -> dict[tuple[str, str], float]:
        """The failed attempts by code and kind, without zeros."""
        found = await self.series(r"^aliyun_vod_api_errors_total")
        return {
            re.findall(r'code="([^"]*)",kind="([^"]*)"', name)[0]: value for name, value in found.items() if value > 0
        }

    def truth(self, days_ago: int = 1) -> dict[str, float]:
        """The simulator's numbers: plays by media, for media with plays."""
        dataset, now = self.simulator.dataset, self.clock.at
        rows = {m: dataset.row(m, play_dates.play_date(now, days_ago), now=now) for m in dataset.media_ids}
        return {m: row.plays for m, row in rows.items() if row is not None and row.plays is not None}


@contextlib.asynccontextmanager
async def simulated(
    settings: SimulatorOptions | None = None, clock: Clock | None = None
) -> AsyncGenerator[tuple[Simulator, str]]:
    """A simulator and its URL; by default all media are on one page."""
    clock = clock or Clock()
    simulator = Simulator(settings or SimulatorOptions(media=100), clock=clock.now)
    with bound(["127.0.0.1:0"]) as sockets:
        async with serving(simulator.app, sockets, date_header=False):
            try:
                yield simulator, urls(sockets)[0]
            finally:
                simulator.close()


@contextlib.asynccontextmanager
async def running_harness(
    settings: SimulatorOptions | None = None,
    *,
    clock: Clock | None = None,
    storage: Path | None = None,
    **configured: str,
) -> AsyncGenerator[Harness]:
    """Exporter and simulator before the first poll; other keywords as in `configuration`."""
    clock = clock or Clock()
    runtime = Runtime({}, clock.now, clock.now, clock.sleep)
    async with (
        simulated(settings, clock) as (simulator, url),
        assemble_daemon(configuration(url, **configured), runtime, storage) as exporter,
    ):
        yield Harness(exporter, simulator, clock)
