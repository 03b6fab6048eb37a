"""A thousand slow clients and twenty scrapes a second beside them: `python -m tests.campaigns.bench.slow_clients`.

Reports scrape durations without and with them, and the exporter's memory; a test checks that no scrape fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import ssl
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from tests.campaigns.bench.slow_client_load import SLOW
from tests.e2e.processes import PATIENCE, Running, exporter, get, running, until
from tests.web import pki

if TYPE_CHECKING:
    from collections.abc import Generator

CROWD: Final = Path(__file__).parent / "slow_client_load.py"
SCRAPES_PER_SECOND: Final = 20
LISTEN: Final = "--web.listen-address=127.0.0.1:0"
KEYS: Final = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
CONFIGURATION: Final = """
accounts: [{{name: main, endpoint: {endpoint}, limits: {{requests_per_second: 1000, concurrency: 8}}}}]
queries: [{{name: q, media: all, days_ago: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], every: 1h}}]
"""
WEB_CONFIGURATION: Final = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"


@dataclass
class Measured:
    """The results of scrapes, in seconds."""

    took: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    megabytes: float = 0.0
    cpu: float = 0.0
    tracker: str = "none"

    def __str__(self) -> str:
        p50, p99 = (statistics.quantiles(self.took, n=100)[at] * 1e3 for at in (49, 98))
        return (
            f"{len(self.took):4} scrapes, {len(self.failed)} failed, p50 {p50:6.1f} ms, p99 {p99:6.1f} ms,"
            f" most {max(self.took) * 1e3:6.1f} ms; exporter {self.megabytes:.0f} MB and {self.cpu:.0%} of a core,"
            f" sent away: {self.tracker}{' '.join(('', *self.failed[:3]))}"
        )


async def scrape(client: httpx.AsyncClient, url: str, measured: Measured) -> None:
    """One scrape, without Prometheus' timeout: a loaded machine is slow, not wrong."""
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await client.get(f"{url}/metrics", headers={"Accept-Encoding": "gzip"})
        if answer.status_code != httpx.codes.OK or b"aliyun_vod_media_plays{" not in answer.content:
            measured.failed.append(str(answer.status_code))
    except (OSError, httpx.HTTPError) as error:
        measured.failed.append(repr(error))
    measured.took.append(time.perf_counter() - begun)


async def scraping(url: str, context: ssl.SSLContext | None, seconds: float, measured: Measured) -> None:
    """Twenty scrapes per second, evenly, regardless of failures; every other one on a new connection."""
    async with (
        httpx.AsyncClient(verify=context or False, timeout=PATIENCE) as kept,
        asyncio.TaskGroup() as group,
    ):

        async def anew() -> None:
            async with httpx.AsyncClient(verify=context or False, timeout=PATIENCE) as client:
                await scrape(client, url, measured)

        for number in range(int(seconds * SCRAPES_PER_SECOND)):
            group.create_task(anew() if number % 2 else scrape(kept, url, measured))
            await asyncio.sleep(1 / SCRAPES_PER_SECOND)


def measure(daemon: Running, url: str, context: ssl.SSLContext | None, seconds: float, measured: Measured) -> None:
    """Scrape, and measure memory and CPU meanwhile."""
    process = Path(f"/proc/{daemon.process.pid}")

    def cpu_seconds() -> float:
        ticks = process.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    begun, used = time.monotonic(), cpu_seconds()
    asyncio.run(scraping(url, context, seconds, measured))
    measured.cpu = (cpu_seconds() - used) / (time.monotonic() - begun)
    measured.megabytes = int(process.joinpath("status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


@contextlib.contextmanager
def room_for_sockets() -> Generator[None]:
    """Raise the limit of descriptors for both ends of a thousand connections, as far as the machine allows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def run(folder: Path, *, tls: bool, seconds: float, media: int = 400, alone: bool = True) -> tuple[Measured, Measured]:
    """Measure without and with slow clients."""
    pki.write(folder)
    (folder / "web.yml").write_text(WEB_CONFIGURATION)
    web = ["--web.config.file=web.yml"] if tls else []
    with room_for_sockets(), exporter(folder, "simulate", LISTEN, f"--media={media}") as simulator:
        (folder / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url()))
        with running(folder, "serve", sys.executable, "-m", "exporter", "serve", LISTEN, *web, **KEYS) as daemon:
            url = daemon.url()
            cafile = str(folder / "ca.crt") if tls else ""
            context = ssl.create_default_context(cafile=str(folder / "ca.crt")) if tls else None
            until(
                lambda: get(f"{url}/-/ready", verify=context or False).status_code == httpx.codes.OK, "the first poll"
            )
            without, beside = Measured(), Measured()
            if alone:
                measure(daemon, url, context, seconds, without)
            with running(folder, "crowd", sys.executable, str(CROWD), url, cafile) as tracker:
                measure(daemon, url, context, seconds, beside)
                tracker.stop()
                beside.tracker = tracker.out.read_text().strip()
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged()
            return without, beside


def main() -> int:
    """Print the measurements."""
    for tls in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            without, beside = run(Path(folder), tls=tls, seconds=20.0)
        sys.stdout.write(f"{'https' if tls else 'http '} alone:                 {without}\n")
        sys.stdout.write(f"{'https' if tls else 'http '} beside {SLOW} slow clients: {beside}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
