"""Prometheus joins plays with metadata: plays by category equal the simulator's."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import pytest

from exporter import app
from exporter.core import play_dates
from tests.e2e.processes import prometheus, until
from tests.harness import Clock, configuration, simulated

if TYPE_CHECKING:
    from pathlib import Path

TEXT: Final = """
accounts:
  - name: main
    endpoint: ENDPOINT
    credentials: {access_key_id: simulator, access_key_secret: simulator-secret}
    limits: {requests_per_second: 1000, concurrency: 8}
    metadata: {labels: [category, status], tags: [promo]}
queries:
  - {name: q, media: {search: {status: [Normal, Blocked, Transcoding]}}, days_ago: [1], expected: false}
"""
BY_CATEGORY: Final = """
sum by (category) (aliyun_vod_media_plays{days_ago="1",terminal_type="all",os="all",region="all"}
  * on (account, media_id) group_left (category) aliyun_vod_media_metadata_info)
"""


@pytest.mark.tool("prometheus")
async def test_plays_by_category_are_those_of_the_service(tmp_path: Path) -> None:
    clock, stop = Clock(), asyncio.Event()
    places: asyncio.Queue[list[str]] = asyncio.Queue()
    async with simulated(clock=clock) as (simulator, url):
        served = asyncio.create_task(
            app.serve(
                configuration(url, text=TEXT),
                app.Runtime({}, clock.now, clock.now, clock.sleep),
                listen=["127.0.0.1:0"],
                telemetry_path="/metrics",
                stop=stop,
                listening=places.put_nowait,
            )
        )
        (place,) = await places.get()
        truth: defaultdict[str, float] = defaultdict(float)
        library, dataset, now = simulator.library, simulator.dataset, clock.at
        tagged = 0.0
        for media_id, video in library.at(now).by_id.items():
            row = dataset.row(media_id, play_dates.play_date(now, 1), now=now)
            plays = row.plays if row is not None and row.plays is not None else 0
            category = library.categories.path(video.category_id) if video.category_id is not None else ""
            truth[category] += plays
            tagged += plays if "promo" in video.tags else 0
        await asyncio.to_thread(_compare, tmp_path, place, truth, tagged)
        stop.set()
        await served


def _compare(folder: Path, target: str, truth: dict[str, float], tagged: float) -> None:
    with prometheus(folder, target) as server:
        until(lambda: server.query("aliyun_vod_category_info"), "the tree of categories")
        assert len(truth) > 10
        # Metadata arrives call by call.
        until(
            lambda: truth == {labels.get("category", ""): value for labels, value in server.query(BY_CATEGORY)},
            "the plays of every category",
        )
        by_tag = server.query(
            'sum(aliyun_vod_media_plays{days_ago="1"} * on (account, media_id) group_left (tag)'
            ' aliyun_vod_media_tag_info{tag="promo"})'
        )
        assert [value for _, value in by_tag] == [tagged]
        # Dashboards choose a category with everything below it.
        below = server.query('count(aliyun_vod_media_metadata_info{category=~"课程(/.*)?"})')
        assert below[0][1] > 1
