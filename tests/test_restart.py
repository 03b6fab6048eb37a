"""What survives a restart: numbers, settled days, calls spent; with a real file."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from exporter.errors import StartError
from exporter.simulator.faults import Fault
from exporter.storage.read_only import read_slices
from tests.harness import CONFIGURATION, Clock, Stage, staged

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0


async def exposed(stage: Stage) -> list[str]:
    """Everything that is said of media and slices."""
    lines = (await stage.metrics()).splitlines()
    return [line for line in lines if line.startswith(("aliyun_vod_media_", "aliyun_vod_slice_"))]


async def test_everything_is_served_at_once_and_it_is_ready(tmp_path: Path) -> None:
    clock = Clock()
    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[0, 1, 2]") as stage:
        assert stage.exporter.pending_queries() == ["q"]
        await stage.poll()
        before = await exposed(stage)

    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[0, 1, 2]") as stage:
        assert stage.exporter.pending_queries() == []
        assert await exposed(stage) == before
        assert not stage.simulator.request_log.calls


async def test_a_query_that_storage_knows_nothing_of_is_awaited(tmp_path: Path) -> None:
    async with staged(storage=tmp_path / "vod.db", days_ago="[1]") as stage:
        await stage.poll()

    more = CONFIGURATION + "  - {name: new, media: all, days_ago: 5}\n"
    async with staged(storage=tmp_path / "vod.db", days_ago="[1]", text=more) as stage:
        assert stage.exporter.pending_queries() == ["new"]


async def test_settled_days_cost_nothing_after_a_restart(tmp_path: Path) -> None:
    clock, window = Clock(), "[0, 1, 2, 3, 4, 5, 6, 7, 8]"
    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago=window) as stage:
        for _ in range(3):
            await stage.poll(later=900)

    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago=window) as stage:
        assert await stage.poll(later=900) == "success"
        assert {call.parameters["PlayDate"] for call in stage.simulator.request_log.calls} == {"20240324"}


async def test_a_restart_over_midnight_moves_the_days(tmp_path: Path) -> None:
    clock = Clock()
    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[0, 1]") as stage:
        await stage.poll()
        today = await stage.plays(0)

    clock.at += DAY
    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[0, 1]") as stage:
        assert (await stage.plays(0), await stage.plays(1)) == ({}, today)


async def test_a_poll_that_fails_after_a_restart_keeps_what_storage_knew(tmp_path: Path) -> None:
    clock = Clock()
    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]") as stage:
        await stage.poll()
        before = await stage.plays(0)

    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]") as stage:
        stage.simulator.change(faults=(Fault("Meter.DataSourceQueryError"),))
        assert await stage.poll(later=900) == "failure"
        assert await stage.plays(0) == before


async def test_a_clock_that_is_far_ahead_at_the_start_costs_nothing_that_is_known(tmp_path: Path) -> None:
    text, clock, ahead = f"storage: {{retention: 31d}}\n{CONFIGURATION}", Clock(), 300 * DAY
    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[1, 2, 8, 9]", text=text) as stage:
        for _ in range(3):
            await stage.poll(later=900)
        before = await exposed(stage)
    stored = read_slices(tmp_path / "vod.db", date.min)

    clock.at += ahead
    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[1, 2, 8, 9]", text=text) as stage:
        stage.simulator.change(clock_offset=-ahead)
        assert await stage.poll() == "failure"
        assert await exposed(stage) == []
        clock.at -= ahead
        stage.simulator.change(clock_offset=0.0)
        assert await exposed(stage) == before
        stage.simulator.request_log.clear()
        assert await stage.poll(later=900) == "success"
        assert not stage.simulator.request_log.calls, "all of it is settled"

    assert read_slices(tmp_path / "vod.db", date.min) == stored


async def test_calls_spent_today_are_remembered(tmp_path: Path) -> None:
    text = CONFIGURATION.replace("concurrency: 8", "concurrency: 8, calls_per_day: 5")
    clock = Clock()
    for left in (3, 1):
        async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]", text=text) as stage:
            for _ in range(2):
                await stage.poll(later=3600)
            assert list((await stage.series("calls_remaining")).values()) == [left]

    async with staged(clock=clock, storage=tmp_path / "vod.db", days_ago="[0]", text=text) as stage:
        assert await stage.poll(later=3600) == "success"
        assert await stage.poll(later=3600) == "skipped"
        assert await stage.poll(later=DAY) == "success"


async def test_without_a_file_a_restart_forgets() -> None:
    async with staged(days_ago="[1]") as stage:
        await stage.poll()
    async with staged(days_ago="[1]") as stage:
        assert await stage.plays() == {}


async def test_a_second_exporter_on_the_same_file_does_not_start(tmp_path: Path) -> None:
    async with staged(storage=tmp_path / "vod.db"):
        with pytest.raises(StartError, match=r"vod\.db"):
            async with staged(storage=tmp_path / "vod.db"):
                pass
