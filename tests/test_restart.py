"""What survives a restart: numbers, settled days and calls spent, with a real file."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import TYPE_CHECKING

import pytest

from exporter.errors import StartError
from exporter.simulator.faults import Fault
from tests.harness import CONFIGURATION, Clock, Harness, running_harness
from tests.storage.stored import read_slices

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0


async def exposed(harness: Harness) -> list[str]:
    """All series of media and slices."""
    lines = (await harness.metrics()).splitlines()
    return [line for line in lines if line.startswith(("aliyun_vod_media_", "aliyun_vod_slice_"))]


async def test_everything_is_served_at_once_and_it_is_ready(tmp_path: Path) -> None:
    clock = Clock()
    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0, 1, 2]") as harness:
        assert harness.exporter.pending_queries() == ["q"]
        await harness.poll()
        before = await exposed(harness)

    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0, 1, 2]") as harness:
        assert harness.exporter.pending_queries() == []
        assert await exposed(harness) == before
        assert not harness.simulator.request_log.calls


async def test_what_a_poll_has_published_when_it_is_cancelled_is_stored(tmp_path: Path) -> None:
    clock = Clock()
    async with running_harness(clock=clock, storage=tmp_path / "vod.db") as harness:
        poll = asyncio.ensure_future(harness.exporter.poll(harness.exporter.queries[0]))
        while not harness.exporter.poller.snapshot.slices:
            await asyncio.sleep(0)
        poll.cancel()
        await asyncio.wait({poll})
        assert poll.cancelled()
        before = await exposed(harness)

    async with running_harness(clock=clock, storage=tmp_path / "vod.db") as harness:
        assert before == await exposed(harness) != []


async def test_a_query_that_storage_knows_nothing_of_is_awaited(tmp_path: Path) -> None:
    async with running_harness(storage=tmp_path / "vod.db", days_ago="[1]") as harness:
        await harness.poll()

    more = CONFIGURATION + "  - {name: new, media: all, days_ago: 5}\n"
    async with running_harness(storage=tmp_path / "vod.db", days_ago="[1]", text=more) as harness:
        assert harness.exporter.pending_queries() == ["new"]


async def test_settled_days_cost_nothing_after_a_restart(tmp_path: Path) -> None:
    clock, window = Clock(), "[0, 1, 2, 3, 4, 5, 6, 7, 8]"
    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago=window) as harness:
        for _ in range(3):
            await harness.poll(later=900)

    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago=window) as harness:
        assert await harness.poll(later=900) == "success"
        assert {call.parameters["PlayDate"] for call in harness.simulator.request_log.calls} == {"20240324"}


async def test_a_restart_over_midnight_moves_the_days(tmp_path: Path) -> None:
    clock = Clock()
    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0, 1]") as harness:
        await harness.poll()
        today = await harness.plays(0)

    clock.at += DAY
    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0, 1]") as harness:
        assert (await harness.plays(0), await harness.plays(1)) == ({}, today)


async def test_a_poll_that_fails_after_a_restart_keeps_what_storage_knew(tmp_path: Path) -> None:
    clock = Clock()
    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]") as harness:
        await harness.poll()
        before = await harness.plays(0)

    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]") as harness:
        harness.simulator.change(faults=(Fault("Meter.DataSourceQueryError"),))
        assert await harness.poll(later=900) == "failure"
        assert await harness.plays(0) == before


async def test_a_clock_that_is_far_ahead_at_the_start_costs_nothing_that_is_known(tmp_path: Path) -> None:
    text, clock, ahead = f"storage: {{retention: 31d}}\n{CONFIGURATION}", Clock(), 300 * DAY
    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[1, 2, 8, 9]", text=text) as harness:
        for _ in range(3):
            await harness.poll(later=900)
        before = await exposed(harness)
    stored = read_slices(tmp_path / "vod.db", date.min)

    clock.at += ahead
    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[1, 2, 8, 9]", text=text) as harness:
        harness.simulator.change(clock_offset=-ahead)
        assert await harness.poll() == "failure"
        assert await exposed(harness) == []
        clock.at -= ahead
        harness.simulator.change(clock_offset=0.0)
        assert await exposed(harness) == before
        harness.simulator.request_log.clear()
        assert await harness.poll(later=900) == "success"
        assert not harness.simulator.request_log.calls, "all of it is settled"

    assert read_slices(tmp_path / "vod.db", date.min) == stored


async def test_calls_spent_today_are_remembered(tmp_path: Path) -> None:
    text = CONFIGURATION.replace("concurrency: 8", "concurrency: 8, calls_per_day: 5")
    clock = Clock()
    for left in (3, 1):
        async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]", text=text) as harness:
            for _ in range(2):
                await harness.poll(later=3600)
            assert list((await harness.series("calls_remaining")).values()) == [left]

    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]", text=text) as harness:
        assert await harness.poll(later=3600) == "success"
        assert await harness.poll(later=3600) == "skipped"
        assert await harness.poll(later=DAY) == "success"


async def test_calls_spent_today_are_remembered_although_the_clock_is_wrong_at_first(tmp_path: Path) -> None:
    text = CONFIGURATION.replace("concurrency: 8", "concurrency: 8, calls_per_day: 5")
    clock = Clock()
    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]", text=text) as harness:
        for _ in range(4):
            await harness.poll(later=900)

    clock.at -= 300 * DAY
    async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]", text=text) as harness:
        harness.simulator.change(clock_offset=300 * DAY)
        assert await harness.poll() == "failure"
        clock.at += 300 * DAY
        harness.simulator.change(clock_offset=0.0)
        assert await harness.poll(later=900) == "success"
        assert await harness.poll(later=900) == "skipped"


async def test_without_a_file_a_restart_forgets() -> None:
    async with running_harness(days_ago="[1]") as harness:
        await harness.poll()
    async with running_harness(days_ago="[1]") as harness:
        assert await harness.plays() == {}


async def test_a_second_exporter_on_the_same_file_does_not_start(tmp_path: Path) -> None:
    async with running_harness(storage=tmp_path / "vod.db"):
        with pytest.raises(StartError, match=r"vod\.db"):
            async with running_harness(storage=tmp_path / "vod.db"):
                pass
