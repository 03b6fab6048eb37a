from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from exporter import app
from exporter.core import play_dates
from tests.e2e.processes import prometheus, until
from tests.harness import Clock, configuration, simulated

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.processes import Prometheus


@pytest.mark.tool("prometheus")
async def test_prometheus_has_the_service_s_numbers_right_after_the_first_poll(tmp_path: Path) -> None:
    clock, stop = Clock(), asyncio.Event()
    places: asyncio.Queue[list[str]] = asyncio.Queue()
    async with simulated(clock=clock) as (simulator, url):
        served = asyncio.create_task(
            app.serve(
                configuration(url, days_ago="[1, 8]"),
                app.Runtime({}, clock.now, clock.now, clock.sleep),
                listen=["127.0.0.1:0"],
                telemetry_path="/metrics",
                stop=stop,
                listening=places.put_nowait,
            )
        )
        (place,) = await places.get()
        await asyncio.to_thread(_compare, tmp_path, place, _truth(simulator.dataset, clock.at))
        stop.set()
        await served


def _truth(catalogue: object, now: float) -> dict[int, dict[str, tuple[str, float]]]:
    """Title and plays of every played media, by days ago."""
    return {
        ago: {
            media_id: (row.title, row.plays)
            for media_id in catalogue.media_ids  # type: ignore[attr-defined]
            if (row := catalogue.row(media_id, play_dates.play_date(now, ago), now=now))  # type: ignore[attr-defined]
        }
        for ago in (1, 8)
    }


def _compare(folder: Path, target: str, truth: dict[int, dict[str, tuple[str, float]]]) -> None:
    with prometheus(folder, target) as server:
        until(lambda: server.query('aliyun_vod_media_plays{days_ago="8"}'), "the first scrape after the first poll")
        assert [value for _, value in server.query('up{job="vod"}')] == [1]
        for ago, rows in truth.items():
            assert _plays(server, ago) == {media_id: plays for media_id, (_, plays) in rows.items()}
        assert _titles(server) == {
            media_id: title for rows in reversed(truth.values()) for media_id, (title, _) in rows.items()
        }
        ratios = server.query(
            'aliyun_vod_media_plays{days_ago="1"} / ignoring(days_ago) aliyun_vod_media_plays{days_ago="8"}'
        )
        expected = {
            media_id: plays / truth[8][media_id][1] for media_id, (_, plays) in truth[1].items() if media_id in truth[8]
        }
        assert {labels["media_id"]: value for labels, value in ratios} == pytest.approx(expected)
        assert len(expected) > 50


def _plays(server: Prometheus, ago: int) -> dict[str, float]:
    found = server.query(f'aliyun_vod_media_plays{{days_ago="{ago}"}}')
    return {labels["media_id"]: value for labels, value in found}


def _titles(server: Prometheus) -> dict[str, str]:
    titles = {labels["media_id"]: labels["title"] for labels, _ in server.query("aliyun_vod_media_info")}
    log_text = "".join(titles.values())
    assert all(letter in log_text for letter in ('"', "\\", "\n"))
    assert any(ord(letter) > 0xFFFF for letter in log_text), "a character of four bytes is among them"
    return titles
