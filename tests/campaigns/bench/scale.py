"""The real daemon at 1,000,000 series: memory, and delays of its event loop.

`python -m tests.campaigns.bench.scale`. Simulator and exporter are processes of their own;
50,000 media over dimensions and days. The exporter polls everything, polls today repeatedly, is scraped, reloads, and
restarts from its storage.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from tests.campaigns.bench.heartbeat import beats
from tests.campaigns.bench.noon import at_noon
from tests.campaigns.bench.rows import Goal, Row, Section
from tests.campaigns.bench.sizing import cpu_seconds, memory_mib
from tests.e2e.processes import Running, get, running

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

MEDIA: Final = 50_000
POLLS: Final = 3
SCRAPES: Final = 5
# At this size the simulator on the same machine takes the most time.
PATIENCE_SECONDS: Final = 900.0
BLOCKED: Final = Goal(50)
BYTES_PER_SERIES: Final = Goal(300)
# The processes run in other folders and import the code from here.
_OURS: Final = {"PYTHONPATH": str(Path.cwd())}
_CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
    limits: {{requests_per_second: 1000, concurrency: 4}}
queries:
  - {{name: today, every: {every}, media: all, days_ago: [0]}}
  - {{name: days, every: 1d, media: all, dimensions: [{{}}, {{terminal_type: Native}}], days_ago: [1, 2, 8]}}
series_limit: 10000000
stale_after: {stale_after}
"""


@dataclass
class Daemon:
    """A running exporter, its current step, and the heartbeat delays during it."""

    process: Running
    beats: Path
    url: str
    rows: list[Row] = field(default_factory=list)

    def does(self, what: str, until: Callable[[], object]) -> None:
        """Wait for the end of a step, and record its results."""
        since, used = time.monotonic(), cpu_seconds(self.process)
        waited(until, what)
        late = beats(self.beats, since, time.monotonic())
        note = (
            f"in {time.monotonic() - since:.1f} s, {cpu_seconds(self.process) - used:.1f} s of CPU time;"
            f" with waiting for a core {max((each.seconds for each in late), default=0.0) * 1e3:.0f} ms"
        )
        own = max((each.own for each in late), default=0.0) * 1e3
        self.rows.append(Row(f"longest blocking of the event loop: {what}", own, "ms", goal=BLOCKED, note=note))

    def series(self) -> int:
        """How many media series are published."""
        found = re.search(r"^aliyun_vod_exporter_series (\S+)", get(f"{self.url}/metrics").text, re.MULTILINE)
        assert found is not None
        return int(float(found[1]))

    def memory(self, what: str, series: int) -> None:
        """Record the current and the peak memory."""
        for name, field_ in ((what, "VmRSS"), (f"{what}, at its peak", "VmHWM")):
            mib = memory_mib(self.process, field_)
            self.rows.append(
                Row(
                    f"memory {name}",
                    mib * 2**20 / series,
                    "bytes a series",
                    goal=BYTES_PER_SERIES if field_ == "VmHWM" else None,
                    note=f"{mib:.0f} MiB",
                )
            )


def waited(ready: Callable[[], object], what: str) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if ready():
            return
        time.sleep(0.25)
    raise TimeoutError(what)


def section(media: int = MEDIA) -> Section:
    """Everything that was measured."""
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(Path(folder), media)
    return Section(
        "1,000,000 series in one process",
        f"The daemon with storage polls {media:,} media over days and dimensions from the simulator. Memory is the"
        " kernel's figure for the whole process, payloads included. A heartbeat in the event loop is due every 5 ms,"
        " and the largest delay counts.",
        tuple(rows),
    )


def measured(folder: Path, media: int) -> list[Row]:
    """Two runs of the exporter over one storage file."""
    anywhere = "--web.listen-address=127.0.0.1:0"
    simulate = at_noon("exporter", "simulate", anywhere, f"--media={media}")
    with running(folder, "simulate", *simulate, **_OURS) as simulator:
        configure(folder, simulator.url(), every="1d")
        with daemon(folder, "polls", anywhere) as exporter:
            exporter.does("polling everything", lambda: exporter.process.logged().count(" msg=polled ") == 2)
            series = exporter.series()
            exporter.does("answering scrapes", lambda: scraped(exporter.url))
            # Another `stale_after` requires that everything is checked again.
            configure(folder, simulator.url(), every="10s", stale_after="3d")
            exporter.does("reloading", lambda: reloaded(exporter.url) and scraped(exporter.url))
            exporter.does("polling today", lambda: exporter.process.logged().count(" msg=polled query=today ") > POLLS)
            exporter.memory("after polls", series)
            exporter.process.stop()
        configure(folder, simulator.url(), every="1d")
        with daemon(folder, "restored", anywhere) as again:
            again.does("starting from storage", lambda: again.series() == series)
            again.does("answering scrapes after it", lambda: scraped(again.url))
            again.memory("from storage", series)
    return [Row("series", series, ""), *exporter.rows, *again.rows]


def configure(folder: Path, endpoint: str, *, every: str, stale_after: str = "2d") -> None:
    """Write the configuration."""
    text = _CONFIGURATION.format(endpoint=endpoint, every=every, stale_after=stale_after)
    (folder / "config.yaml").write_text(text)


@contextlib.contextmanager
def daemon(folder: Path, name: str, *flags: str) -> Generator[Daemon]:
    """The exporter with a heartbeat and the storage file of this folder."""
    beats = folder / f"{name}.beats"
    serve = ("serve", *flags, "--storage.path=state.db", "--web.enable-lifecycle")
    with running(folder, name, *at_noon("tests.campaigns.bench.heartbeat", str(beats), *serve), **_OURS) as process:
        yield Daemon(process, beats, process.url())


def scraped(url: str) -> bool:
    """Scrape some times, every other one plain."""
    for number in range(SCRAPES):
        get(f"{url}/metrics", headers={"Accept-Encoding": "identity" if number % 2 else "gzip"}).raise_for_status()
    return True


def reloaded(url: str) -> bool:
    """Reload the configuration."""
    return httpx.post(f"{url}/-/reload", timeout=PATIENCE_SECONDS).raise_for_status().is_success


def main(arguments: list[str]) -> int:
    """Print the table for the given number of media."""
    result = section(*map(int, arguments))
    sys.stdout.write(f"{result.title}\n{result.how}\n\n")
    for row in result.rows:
        goal = f"goal {row.goal}: {'reached' if row.reached else 'MISSED'}" if row.goal else ""
        sys.stdout.write(f"{row.name:56}{row.figure:>12,.0f} {row.unit:16}{goal:28}{row.note}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
