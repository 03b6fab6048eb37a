"""Counts API calls on the simulator over HTTP and writes docs/design/calls.md.

`python -m tests.campaigns.bench.calls`; the numbers are the same on every machine, as simulator and clock are.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import tempfile
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter import logs
from exporter.app import Runtime, assemble_daemon
from exporter.config.loader import loads
from exporter.core import play_dates
from exporter.core.cost import Estimate, cost
from exporter.core.model import ByIds, Measure, Top
from exporter.core.plan import PAGE_SIZE
from exporter.simulator.access_keys import SIMULATOR_ACCESS_KEY_ID, SIMULATOR_ACCESS_KEY_SECRET
from exporter.simulator.dataset import Dataset, Order
from exporter.simulator.options import SimulatorOptions
from tests.campaigns.bench.calls_page import Day, Restart, Row, document
from tests.harness import (
    CONFIGURATION,
    NOON,
    Clock,
    Harness,
    configuration,
    running_harness,
    simulated,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from exporter.core.model import Query
    from exporter.simulator.service import Simulator

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "design" / "calls.md"
WANTED: Final = (1, 3, 30, 300, 3_000)
RESULT_SETS: Final = (0, 50, 1_000, 50_000)
HOURS: Final = 3_600.0
DAY: Final = 24 * HOURS
# A further day, so that the exporter knows roughly how many media have plays on a finished day.
_AND_EARLIER: Final = "  - {name: earlier, media: {top: 1}, days_ago: 2, every: 15m}\n"
_DAYS_BEFORE: Final = 11
_WINDOW: Final = range(9)


async def rows(wanted: Iterable[int], result_sets: Iterable[int]) -> AsyncIterator[tuple[Row, Row]]:
    """The rows for each number of wanted media and of played ones.

    Spread evenly over the result set, and the most played.
    """
    for size in result_sets:
        clock = Clock()
        async with simulated(SimulatorOptions(media=_account_of(size)), clock) as (simulator, url):
            order = Order(Measure.PLAYS, descending=True)
            played = simulator.dataset.result_set(play_dates.play_date(NOON, 1), order=order, now=NOON)
            ranked = [counts.media.media_id for counts in played]
            for k in wanted:
                spread = range(size) if k >= size else [(2 * i + 1) * size // (2 * k) for i in range(k)]
                yield (
                    await _row(simulator, url, clock, ranked, k, spread),
                    await _row(simulator, url, clock, ranked, k, range(min(k, size))),
                )


def _account_of(size: int) -> int:
    """The number of media of an account in which exactly `size` have plays yesterday."""
    if not size:
        return 0
    catalogue = Dataset(media=2 * size)
    result = catalogue.result_set(play_dates.play_date(NOON, 1), now=NOON)
    return catalogue.media_ids.index(result[size - 1].media.media_id) + 1


async def _row(
    simulator: Simulator, url: str, clock: Clock, ranked: Sequence[str], k: int, ranks: Sequence[int]
) -> Row:
    """The counts for the media at these ranks, filled up to `k` with media without plays."""
    unplayed = [f"unplayed{i:024x}" for i in range(k - len(ranks))]
    ids = [*(ranked[rank] for rank in ranks), *unplayed]
    pages = ceil(len(ranked) / PAGE_SIZE)
    # A client that knew the position of each video would request just these pages, and each video without plays.
    clairvoyant = len({rank // PAGE_SIZE for rank in ranks}) + len(unplayed)
    row = Row(
        wanted=k,
        played=len(ranked),
        pages=pages,
        fewest=min(max(pages, 1), clairvoyant),
        first=await _calls_for(simulator, url, clock, ids, known=False),
        known=await _calls_for(simulator, url, clock, ids, known=True),
    )
    assert row.bounded, row
    return row


async def _calls_for(simulator: Simulator, url: str, clock: Clock, ids: Sequence[str], *, known: bool) -> int:
    """The calls of an exporter that has just started, or (`known`) has polled another finished day."""
    config = configuration(url, media=f"{{ids: [{', '.join(ids)}]}}", text=CONFIGURATION + _AND_EARLIER)
    async with assemble_daemon(config, Runtime({}, clock.now, clock.now, clock.sleep)) as exporter:
        harness = Harness(exporter, simulator, clock)
        query, earlier = exporter.queries
        if known:
            await exporter.poll(earlier)
        simulator.request_log.clear()
        await exporter.poll(query)
        calls = len(simulator.request_log.calls)
        assert exporter.reports()[0].result == "success"
        assert len(await harness.plays()) == len(ids), "every video is known, be it a zero"
        assert (await _saved(harness))["sweep"] == max(0, len(ids) - calls)
        return calls


async def steady_day() -> Day:
    """The last of twelve days of polling with the queries of config.example.yaml."""
    clock = Clock(datetime.fromisoformat("2024-03-11T00:00:00+08:00").timestamp())
    last_day = clock.at + _DAYS_BEFORE * DAY
    environ = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": SIMULATOR_ACCESS_KEY_ID,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SIMULATOR_ACCESS_KEY_SECRET,
    }
    example = (ROOT / "config.example.yaml").read_text(encoding="utf-8")
    runtime = Runtime(environ, clock.now, clock.now, clock.sleep)
    async with simulated(clock=clock) as (simulator, url):
        text = example.replace("endpoint: https://vod.cn-shanghai.aliyuncs.com", f"endpoint: {url}")
        config = loads(text, file="config.yaml", environ=environ)
        async with assemble_daemon(config, runtime) as exporter:
            harness = Harness(exporter, simulator, clock)
            due = [(clock.at, place) for place in range(len(exporter.queries))]
            await _poll_until(harness, due, last_day)
            simulator.request_log.clear()
            before = await _saved(harness)
            await _poll_until(harness, due, last_day + DAY)
            after = await _saved(harness)
            settlement = config.settlement
            announced = sum((cost(query, settlement).steady_day for query in exporter.queries), Estimate(0, 0))
            return Day(
                made=len(simulator.request_log.calls),
                announced=str(announced),
                naive_calls=sum(map(_naive, exporter.queries)),
                saved={reason: after[reason] - before[reason] for reason in after},
            )


async def _poll_until(harness: Harness, due: list[tuple[float, int]], until: float) -> None:
    """Poll every query when it is due, as the scheduler does (a heap of time and position in the configuration)."""
    while due[0][0] < until:
        at, place = due[0]
        harness.clock.at = max(harness.clock.at, at)
        await harness.exporter.poll(harness.exporter.queries[place])
        heapq.heapreplace(due, (at + harness.exporter.queries[place].every, place))


def _naive(query: Query) -> int:
    """The calls per day of a client that requests each ID or page, dimension and day at every poll."""
    match query.media:
        case ByIds(ids):
            each = len(ids)
        case Top(n):
            each = ceil(n / PAGE_SIZE)
        case _:
            raise ValueError(f"{query.name}: how many pages all media have depends on the account")
    return int(each * len(query.dimensions) * len(query.days_ago) * DAY / query.every)


async def restarts(directory: Path) -> AsyncIterator[Restart]:
    """Nine days of a thousand media, polled hourly since yesterday 10:00; then a new process, a little late."""
    began = NOON - DAY - 2 * HOURS
    text = CONFIGURATION.replace("every: 15m", "every: 1h")
    settings = SimulatorOptions(media=_account_of(1_000))
    configured = {"text": text, "days_ago": str(list(_WINDOW))}
    for hour in (3, 12):
        at = NOON + (hour - 12) * HOURS
        clock, file = Clock(began), directory / f"{hour}.db"
        async with running_harness(settings, clock=clock, storage=file, **configured) as harness:
            await _poll_until(harness, [(began, 0)], at)
        first_polls = []
        for storage in (None, file):
            clock.at = at + 60.0
            async with running_harness(settings, clock=clock, storage=storage, **configured) as harness:
                assert await harness.poll() == "success"
                calls = harness.simulator.request_log.calls
                dates = {call.parameters["PlayDate"] for call in calls}
                ages = [ago for ago in _WINDOW if f"{play_dates.play_date(at, ago):%Y%m%d}" in dates]
                first_polls.append((len(calls), ages, await _saved(harness)))
        (without, ages_without, _), (with_storage, ages_with, saved) = first_polls
        assert (ages_without, ages_with) == (list(_WINDOW), [0, 1] if hour < 9 else [0])
        yield Restart(f"{hour:02}:01", ages_without, without, ages_with, with_storage, saved)


async def _saved(harness: Harness) -> dict[str, int]:
    """`aliyun_vod_api_calls_saved_total` by reason."""
    calls_saved = await harness.series("^aliyun_vod_api_calls_saved_total")
    return {name.partition('reason="')[2].partition('"')[0]: int(value) for name, value in calls_saved.items()}


async def _document() -> str:
    tables = [pair async for pair in rows(WANTED, RESULT_SETS)]
    with tempfile.TemporaryDirectory() as directory:
        restarted = [each async for each in restarts(Path(directory))]
    return document(
        spread=[spread for spread, _ in tables],
        most_played=[most for _, most in tables],
        day=await steady_day(),
        restarts=restarted,
    )


def main() -> int:
    """Write the page."""
    logs.configure("error")
    PAGE.write_text(asyncio.run(_document()), encoding="utf-8")
    sys.stdout.write(f"written: {PAGE.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
