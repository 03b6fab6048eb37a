"""How fast, as ratios within one run: peers and ourselves in turns, medians; `make bench`.

Figures of another run or machine cannot be compared with these; the ratios can.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import statistics
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from alibabacloud_tea_openapi.models import Config
from alibabacloud_vod20170321.client import Client as Sdk
from alibabacloud_vod20170321.models import DescribeVodMediaPlayDataRequest
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from exporter import logs
from exporter.app import Surroundings, assembled
from exporter.core import days
from exporter.core.model import Dimensions, PlayRow, Slice
from exporter.core.publication import Publication, PublishedSlice
from exporter.exposition.render import Renderer
from exporter.simulator.service import Simulator
from exporter.simulator.settings import Settings
from exporter.web.server import bound, serving, urls
from tests.stage import CONFIGURATION, configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS: Final = 5
SLICES, MEDIA = 20, 1_000  # times five metrics: 100,000 samples
IDS: Final = tuple(f"{number:032x}" for number in range(MEDIA))
PAGES: Final = 50
FIELDS: Final = ("plays", "viewers", "plays_per_viewer", "play_duration", "play_duration_per_viewer")
LABELS: Final = ("account", "media_id", "terminal_type", "os", "region", "days_ago")


def publication(changed: int = -1) -> Publication:
    """100,000 samples; the numbers of one slice may be others."""
    slices = tuple(
        PublishedSlice(
            Slice("main", Dimensions(), days.play_date(0.0, ago)),
            ago,
            {
                f"{m:032x}": PlayRow(f"{m:032x}", "", 60, m, m + (ago == changed), 1.5, m * 60, 90.5)
                for m in range(MEDIA)
            },
            MEDIA,
            1.0,
            settled=False,
            ready=True,
        )
        for ago in range(SLICES)
    )
    return Publication(slices, (), {}, SLICES * MEDIA * len(FIELDS), 0, 0.0, 1.0)


def gauges(shown: Publication) -> CollectorRegistry:
    """The same samples as a user of the client library would hold them."""
    registry = CollectorRegistry()
    metrics = {field: Gauge(f"aliyun_vod_media_{field}", "as ours", LABELS, registry=registry) for field in FIELDS}
    for each in shown.slices:
        for media_id, row in each.rows.items():
            for field, metric in metrics.items():
                metric.labels("main", media_id, "all", "all", "all", str(each.days_ago)).set(getattr(row, field))
    return registry


def rendering() -> dict[str, Callable[[], object]]:
    """What it takes to have 100,000 samples ready to be scraped."""
    shown, warm = publication(), Renderer()
    registry = gauges(shown)
    rendered = warm.render(shown)
    others = [publication(changed) for changed in range(ROUNDS)]
    return {
        "prometheus-client Gauges, at every scrape": lambda: generate_latest(registry),
        "ours, when everything is new, gzip included": lambda: Renderer().render(shown),
        "ours, when one slice of 20 changed, gzip included": lambda: warm.render(others.pop()),
        "ours, at every scrape": lambda: rendered.followed_by(b"# self-metrics"),
    }


def paging(url: str) -> dict[str, Callable[[], object]]:
    """Pages of 100 rows, one after the other, from the simulator in another thread."""
    yesterday = days.play_date(time.time(), 1)
    sdk = Sdk(Config("simulator", "simulator-secret", endpoint=url.removeprefix("http://"), protocol="http"))

    def peer() -> None:
        for page in range(1, PAGES + 1):
            sdk.describe_vod_media_play_data(
                DescribeVodMediaPlayDataRequest(play_date=f"{yesterday:%Y%m%d}", page_no=page, page_size=100)
            )

    async def ours() -> None:
        text = CONFIGURATION.replace("requests_per_second: 1000", "requests_per_second: 100000")
        async with assembled(configuration(url, text=text), Surroundings({})) as exporter:
            await exporter.poll(exporter.queries[0])

    return {"the official SDK, sync": peer, "ours, from request to published bytes": lambda: asyncio.run(ours())}


def table(title: str, ways: dict[str, Callable[[], object]]) -> None:
    """Every way once a round, in turns; medians, spread, and how much faster than the first."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            took[name].append(time.perf_counter() - begun)
    first = statistics.median(next(iter(took.values())))
    lines = [f"{title}: {ROUNDS} rounds in turns", f"{'':52}{'median':>12}{'min to max':>22}{'faster by':>12}"]
    for name, seconds in took.items():
        median = statistics.median(seconds)
        spread = f"{min(seconds) * 1e3:.2f} to {max(seconds) * 1e3:.2f}"
        lines.append(f"{name:52}{median * 1e3:>9.2f} ms{spread:>19} ms{first / median:>11.1f}x")
    sys.stdout.write("\n".join(lines) + "\n\n")


@contextlib.contextmanager
def simulator() -> Iterator[str]:
    """A simulator with as many media as the pages hold, in a thread of its own."""
    places: queue.SimpleQueue[tuple[str, Callable[[], object]]] = queue.SimpleQueue()

    async def serve() -> None:
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        service = Simulator(Settings(media=PAGES * 100))
        with bound(["127.0.0.1:0"]) as sockets:
            async with serving(service.app, sockets, date_header=False):
                places.put((urls(sockets)[0], lambda: loop.call_soon_threadsafe(done.set)))
                await done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    url, stop = places.get()
    try:
        yield url
    finally:
        stop()
        thread.join()


def main() -> int:
    """Print the tables."""
    logs.configure("error")
    table("100,000 samples as text", rendering())
    with simulator() as url:
        table(f"{PAGES} pages of 100 rows", paging(url))
    return 0


if __name__ == "__main__":
    sys.exit(main())
