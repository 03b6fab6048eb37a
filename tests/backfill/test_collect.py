from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.app import Runtime
from exporter.backfill.collect import BackfillData, fetch
from exporter.backfill.progress import ProgressLines
from exporter.core import play_dates
from exporter.core.model import ByIds
from exporter.simulator.faults import Fault
from tests.discovery.test_media_discovery import tagged
from tests.harness import NOON, Clock, configuration, simulated

if TYPE_CHECKING:
    from pathlib import Path


async def fetched(url: str, search: str, storage: Path | None = None, clock: Clock | None = None) -> BackfillData:
    clock = clock or Clock()
    runtime = Runtime({}, clock.now, clock.now, clock.sleep)
    config = configuration(url, media=f"{{search: {search}}}", dimensions="[{}, {os: [iOS]}]")
    return await fetch(config, runtime, 2, ProgressLines(lambda _: None), storage)


async def test_media_of_a_search_are_those_that_it_finds_now() -> None:
    async with simulated(clock=Clock()) as (simulator, url):
        data = await fetched(url, "{status: Normal}")

    assert data.gaps == ()
    dataset, yesterday = simulator.dataset, play_dates.play_date(NOON, 1)
    rows = data.views(86_400)[-1].publication.slices[0].rows
    played = {media_id: row.plays for media_id, row in rows.items() if row is not None}
    truth = {each: dataset.row(each, yesterday, now=NOON) for each in dataset.media_ids}
    assert played == {media_id: row.plays for media_id, row in truth.items() if row is not None and media_id in rows}
    assert len(played) > 50


async def test_what_a_search_found_long_ago_is_searched_again(tmp_path: Path) -> None:
    clock, media_ids = Clock(), set[str]()
    async with simulated(clock=clock) as (simulator, url):
        for video in list(simulator.library.at(NOON).by_id.values())[:2]:
            simulator.library.put(tagged(video))
            media_ids.add(video.media_id)
            data = await fetched(url, "{tags: [mine]}", tmp_path / "vod.db", clock)
            assert (data.gaps, data.rules.queries[0].media) == ((), ByIds(frozenset(media_ids)))
            clock.at += 7_200


@pytest.mark.parametrize(
    ("search", "faults", "reason"),
    [
        ("{tags: [unused]}", (), "its search finds no media"),
        (
            "{status: Normal}",
            (Fault("Forbidden.RAM", when={"Action": "SearchMedia"}),),
            "its search failed: Forbidden.RAM: ",
        ),
        ("{category: Nowhere}", (), "its search failed: unknown_category: there is no category Nowhere"),
    ],
)
async def test_a_search_that_finds_nothing_leaves_a_gap_on_every_day(
    search: str, faults: tuple[Fault, ...], reason: str
) -> None:
    async with simulated(clock=Clock()) as (simulator, url):
        simulator.change(faults=faults)
        data = await fetched(url, search)

    assert [str(gap).partition(reason)[:2] for gap in data.gaps] == [
        (f"2024-03-{day} is missing in q (2 of 2 slices): ", reason) for day in (23, 22)
    ]
    assert all(gap.advice for gap in data.gaps)
    assert data.views(86_400) == ()
