"""Polling speed of the official SDK and of the exporter, in turns, with the same pages over TLS.

CPU is this process's own; the pages come from another one. The exporter's is counted from the first request to
published bytes, connections included; the SDK's ends with decoded models.
`python -m tests.campaigns.bench.polling` prints the tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alibabacloud_tea_openapi.models import Config
from alibabacloud_vod20170321.client import Client as Sdk
from alibabacloud_vod20170321.models import DescribeVodMediaPlayDataRequest

from exporter import logs
from exporter.app import Runtime, assemble_daemon
from exporter.core import play_dates
from exporter.gc_tuning import tune_interpreter
from tests.campaigns.bench.heartbeat import BEAT_SECONDS, Late, waits
from tests.campaigns.bench.page_server import PAGE_SIZE, serving
from tests.campaigns.bench.rows import Goal, Row, Section, row
from tests.harness import CONFIGURATION, configuration

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping

ROUNDS: Final = 5
PAGES: Final = 500
# The SDK's asynchronous client creates a TLS context for every call: measured with fewer pages, per page.
FEW_PAGES: Final = 40
LATENCY: Final = 0.03
CONCURRENCY: Final = 8
FAST, SLOW = 100_000, 200  # requests a second


@dataclass(frozen=True, slots=True)
class Took:
    """The durations of one round, in seconds.

    * `wall`: until the last response; with the exporter until it is merged.
    * `published`: until there were bytes to scrape.
    * `lag`: the longest delay in the event loop.
    """

    wall: float
    cpu: float
    published: float = 0.0
    lag: float = 0.0


Way = tuple["Callable[[], Took]", int]
"""How to fetch pages, and how many it fetches."""


def sections(rounds: int = ROUNDS) -> tuple[Section, ...]:
    """All tables of this part."""
    return cpu(rounds), wall(rounds)


def cpu(rounds: int = ROUNDS) -> Section:
    """CPU per page, without latency."""
    with _pages(PAGES, 0.0) as (at, authority):
        sdk = _Sdk(at, authority)
        ways: dict[str, Way] = {
            "the official SDK, one by one": (lambda: sdk.one_by_one(PAGES), PAGES),
            f"the official SDK, {CONCURRENCY} threads": (lambda: sdk.in_threads(PAGES), PAGES),
            f"the official SDK, async, {CONCURRENCY} at once": (lambda: sdk.max_in_flight(FEW_PAGES), FEW_PAGES),
            "ours, to published bytes, one at a time": (lambda: ours(at, concurrency=1, polls=2), PAGES),
            f"ours, to published bytes, {CONCURRENCY} at once": (lambda: ours(at, polls=2), PAGES),
            f"ours, the first poll of a new daemon, {CONCURRENCY} at once": (lambda: ours(at), PAGES),
        }
        taken = _in_turns(ways, rounds)
    peer, *others = ((name, [took.cpu / ways[name][1] * 1e3 for took in each]) for name, each in taken.items())
    first = row(peer[0], "ms a page", peer[1])
    goal = Goal(1.6)  # of httpx without another HTTP client below it
    return Section(
        f"CPU for each page of {PAGE_SIZE} rows, over TLS",
        f"{PAGES} pages from a separate process, no latency, {rounds} rounds in turns, medians. The SDK signs, sends "
        "and decodes; ours also applies its limits, counts, merges, renders, compresses and publishes. In each poll "
        "all numbers have changed; in the first poll all titles are new.",
        (
            first,
            *(
                row(name, "ms a page", values, against=first, goal=goal if name.startswith("ours") else None)
                for name, values in others
            ),
        ),
    )


def wall(rounds: int = ROUNDS) -> Section:
    """Seconds for a long poll of one slice with latency, and how long the loop was blocked."""
    with _pages(PAGES, LATENCY) as (at, authority):
        sdk = _Sdk(at, authority)
        slots = f"{CONCURRENCY} at once"
        ways: dict[str, Way] = {
            f"ours, {slots}": (lambda: ours(at), PAGES),
            f"ours, {slots}, {SLOW} requests a second": (lambda: ours(at, rate=SLOW), PAGES),
            f"the official SDK, {CONCURRENCY} threads": (lambda: sdk.in_threads(PAGES), PAGES),
            f"the official SDK, async, {slots}": (lambda: sdk.max_in_flight(FEW_PAGES), FEW_PAGES),
        }
        taken = _in_turns(ways, rounds)
        lags = [ours(at, watched=True).lag * 1e3 for _ in range(rounds)]
    ideal = Row(f"the ideal schedule, {slots}", _ideal(FAST), "s", note="pages x latency / concurrency")
    slow = Row(f"the ideal schedule, {SLOW} requests a second", _ideal(SLOW), "s", note="pages / rate")
    goal = Goal(1.10)
    rows = [ideal, slow]
    for name, each in taken.items():
        seconds = [took.wall * PAGES / ways[name][1] for took in each]
        against = slow if "a second" in name else ideal
        rows.append(row(name, "s", seconds, against=against, goal=goal if name.startswith("ours") else None))
    published = [took.published for took in taken[f"ours, {slots}"]]
    rows.append(row(f"ours, {slots}, to published bytes", "s", published, against=ideal))
    rows.append(row("ours: longest blocking of the event loop", "ms", lags, goal=Goal(50.0)))
    return Section(
        f"A poll of {PAGES} pages at {LATENCY * 1e3:.0f} ms of latency, over TLS",
        f"One slice, {rounds} rounds in turns, medians. Ours is measured until all data is merged, as in "
        "`aliyun_vod_query_poll_duration_seconds`. The SDK's asynchronous client makes a new TLS context for each "
        "call.",
        tuple(rows),
    )


def ours(at: str, *, concurrency: int = CONCURRENCY, rate: float = FAST, watched: bool = False, polls: int = 1) -> Took:
    """The last of some complete polls by a new exporter; watching its loop costs some CPU."""

    async def poll() -> Took:
        text = CONFIGURATION.replace(
            "requests_per_second: 1000, concurrency: 8", f"requests_per_second: {rate:g}, concurrency: {concurrency}"
        )
        # Everything that is requested is also published.
        config = configuration(f"https://{at}", text=f"{text}\nseries_limit: 1000000\n", days_ago="[0]")
        async with assemble_daemon(config, Runtime({})) as exporter, _watched(watched=watched) as lags:
            for _ in range(polls - 1):
                await exporter.poll(exporter.queries[0])
            took = _stopwatch()
            await exporter.poll(exporter.queries[0])
            published, cpu = took()
            report = exporter.reports()[-1]
            if report.result != "success":
                raise RuntimeError(f"the poll ended as {report.result}: {report.outcomes}")
            return Took(report.ended_at - report.started_at, cpu, published, max(lags))

    with tune_interpreter():  # as the daemon does
        # Keep the SDK's modules out of the garbage collections.
        gc.collect()
        gc.freeze()
        return asyncio.run(poll())


class _Sdk:
    """The official SDK, decoding included."""

    def __init__(self, at: str, authority: Path) -> None:
        self._client = Sdk(Config("key", "secret", endpoint=at, protocol="https", ca=str(authority)))
        self._date = f"{play_dates.play_date(time.time(), 0):%Y%m%d}"

    def one_by_one(self, pages: int) -> Took:
        took = _stopwatch()
        for number in range(1, pages + 1):
            self._page(number)
        return Took(*took())

    def in_threads(self, pages: int) -> Took:
        took = _stopwatch()
        with ThreadPoolExecutor(CONCURRENCY) as threads:
            list(threads.map(self._page, range(1, pages + 1)))
        return Took(*took())

    def max_in_flight(self, pages: int) -> Took:
        async def fetch() -> Took:
            numbers = iter(range(1, pages + 1))

            async def one_by_one() -> None:
                for number in numbers:
                    answer = await self._client.describe_vod_media_play_data_async(self._request(number))
                    _check(len(answer.body.qoe_info_list))

            took = _stopwatch()
            await asyncio.gather(*(one_by_one() for _ in range(CONCURRENCY)))
            return Took(*took())

        return asyncio.run(fetch())

    def _page(self, number: int) -> None:
        _check(len(self._client.describe_vod_media_play_data(self._request(number)).body.qoe_info_list))

    def _request(self, number: int) -> DescribeVodMediaPlayDataRequest:
        return DescribeVodMediaPlayDataRequest(
            play_date=self._date, page_no=number, page_size=PAGE_SIZE, order_name="PlaySuccessVv", order_type="DESC"
        )


def _check(rows: int) -> None:
    if rows != PAGE_SIZE:
        raise RuntimeError(f"a page has {rows} rows instead of {PAGE_SIZE}")


def _ideal(rate: float) -> float:
    return max(PAGES * LATENCY / CONCURRENCY, PAGES / rate)


def _in_turns(ways: Mapping[str, Way], rounds: int) -> dict[str, list[Took]]:
    """Every client once per round, after a warm-up round."""
    for fetch, _ in ways.values():
        fetch()
    taken: dict[str, list[Took]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (fetch, _) in ways.items():
            taken[name].append(fetch())
    return taken


def _stopwatch() -> Callable[[], tuple[float, float]]:
    """Start counting; returns a function for the wall and CPU seconds since then."""
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: (time.perf_counter() - wall, time.process_time() - cpu)


@contextlib.asynccontextmanager
async def _watched(*, watched: bool) -> AsyncGenerator[list[float]]:
    """The delay of each heartbeat without the wait for a processor; 0 before the first."""
    lags = [0.0]

    async def beat() -> None:
        while True:
            before, due = waits(), time.monotonic() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            late = time.monotonic() - due
            if late > max(lags):
                lags.append(
                    Late(due, late, max(wait - before.get(thread, wait) for thread, wait in waits().items())).own
                )

    heart = asyncio.create_task(beat()) if watched else None
    try:
        yield lags
    finally:
        if heart is not None:
            heart.cancel()


@contextlib.contextmanager
def _pages(pages: int, latency: float) -> Generator[tuple[str, Path]]:
    """The server of pages; its certificate authority is trusted while it runs."""
    with tempfile.TemporaryDirectory() as directory, serving(pages, latency, Path(directory)) as (at, authority):
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = str(authority)
        try:
            yield at, authority
        finally:
            if before is None:
                del os.environ["SSL_CERT_FILE"]
            else:
                os.environ["SSL_CERT_FILE"] = before


def main() -> int:
    """Print the tables."""
    logs.configure("error")
    for section in sections():
        sys.stdout.write(f"{section.title}\n{section.how}\n\n")
        for each in section.rows:
            spread = "" if each.spread is None else f"{each.spread[0]:.3f} to {each.spread[1]:.3f}"
            ratio = "" if each.ratio is None else f"{each.ratio:.2f} x"
            goal = "" if each.goal is None else f"{each.goal}: {'reached' if each.reached else 'missed'}"
            sys.stdout.write(f"{each.name:58}{each.figure or 0:>9.3f} {each.unit:10}{spread:>20}{ratio:>9}  {goal}\n")
        sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
