from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from exporter.core import play_dates
from exporter.simulator.generated_media import most_played
from exporter.simulator.options import SimulatorOptions
from tests.campaigns.bench import dashboards, peers
from tests.campaigns.bench.noon import NOON
from tests.harness import Clock, running_harness

if TYPE_CHECKING:
    from pathlib import Path


def test_figures_are_those_of_noon_at_any_time_of_day(tmp_path: Path) -> None:
    query = "every: 1d, days_ago: [0, 1]"
    with peers.simulator(tmp_path, "--media=20") as url, peers.ours(tmp_path, url, query) as (server, _):
        dates = {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in server.text().splitlines()
            if line.startswith("aliyun_vod_play_date_timestamp_seconds{")
        }
    midnight = NOON - timedelta(hours=12)
    name = 'aliyun_vod_play_date_timestamp_seconds{{days_ago="{}"}}'
    assert dates == {name.format(ago): (midnight - timedelta(days=ago)).timestamp() for ago in (0, 1)}


@pytest.mark.parametrize("time", ["00:40", "08:50", "09:10", "23:50"])
async def test_dashboards_have_a_settled_day_after_the_first_poll(time: str) -> None:
    """Prometheus has the real time, so the exporter that it scrapes cannot have another one."""
    clock = Clock(datetime.fromisoformat(f"2024-03-24T{time}:00+08:00").timestamp())
    text = dashboards.CONFIGURATION.format(endpoint="ENDPOINT", month=[1], one=most_played(0))
    async with running_harness(SimulatorOptions(media=20), clock=clock, text=text) as harness:
        assert await harness.poll() == "success,success,success"
        days = harness.exporter.publication().settled_days
    assert {play_dates.days_ago(clock.at, day.slice.play_date) for day in days} == {2}
