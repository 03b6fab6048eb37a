"""Several replicas with one configuration: together they are one exporter."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from exporter.app import Runtime, assemble_daemon
from exporter.core import play_dates
from exporter.core.sharding import WHOLE, Shard
from exporter.jobs import JobKind
from exporter.simulator.dataset import Dataset
from exporter.simulator.options import SimulatorOptions
from tests.discovery.test_media_discovery import tagged
from tests.harness import (
    CONFIGURATION,
    NOON,
    Clock,
    Harness,
    configuration,
    simulated,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

DIMENSIONS = "[{}, {terminal_type: [Native, Web]}, {os: [Android, iOS, Windows]}, {region: cn-beijing}]"
# Series of media, slices and days; every replica has those about the exporter itself.
PLAY = r"^aliyun_vod_(media|slice|play_date)"


@contextlib.asynccontextmanager
async def replicas(
    *shards: Shard, text: str = CONFIGURATION, media: str = "all", dimensions: str = DIMENSIONS
) -> AsyncGenerator[list[Harness]]:
    """One simulator and an exporter for each shard."""
    clock = Clock()
    runtime = Runtime({}, clock.now, clock.now, clock.sleep)
    async with simulated(SimulatorOptions(media=30), clock) as (simulator, url), contextlib.AsyncExitStack() as stack:
        config = configuration(url, text=text, media=media, dimensions=dimensions, days_ago="[0, 1, 8]")
        yield [
            Harness(await stack.enter_async_context(assemble_daemon(config, runtime, None, shard)), simulator, clock)
            for shard in shards
        ]


def of(total: int) -> list[Shard]:
    return [Shard(number, total) for number in range(total)]


def played(n: int) -> list[str]:
    """The most played media of the simulator, which has plays with every filter."""
    catalogue = Dataset(media=30)
    plays = {m: catalogue.counts(m, play_dates.play_date(NOON, 1), now=NOON) for m in catalogue.media_ids}
    return sorted(plays, key=lambda media_id: -(found.plays if (found := plays[media_id]) else 0))[:n]


@pytest.mark.parametrize("media", ["all", "{top: 7}"])
@pytest.mark.parametrize("total", [2, 5])
async def test_together_they_make_the_calls_and_show_the_series_of_one(media: str, total: int) -> None:
    async with replicas(WHOLE, *of(total), media=media) as (whole, *parts):
        assert await whole.poll() == "success"
        calls = Counter(tuple(sorted(call.parameters.items())) for call in whole.simulator.request_log.calls)
        whole.simulator.request_log.clear()
        for part in parts:
            assert await part.poll() == "success"

        assert Counter(tuple(sorted(call.parameters.items())) for call in whole.simulator.request_log.calls) == calls
        series_by_part = [await part.series(PLAY) for part in parts]
        of_media = {name for name in await whole.series(PLAY) if re.match("aliyun_vod_media_(info|duration_)", name)}
        seen = Counter(name for series in series_by_part for name in series)
        assert set(seen.values()) == {1}
        missing = set(await whole.series(PLAY)) - set(seen)
        # A video that ranks first with one filter only is unknown to the replica that owns titles.
        assert missing <= (of_media if media != "all" else set())
        assert not set(seen) - set(await whole.series(PLAY))


@pytest.mark.parametrize("total", [2, 3, 6])
@pytest.mark.parametrize(
    "listing", ["", "{media: all, dimensions: [{os: Linux}]}", "{media: {top: 9}}", "{media: all}"]
)
async def test_no_title_and_no_length_is_lost_of_media_that_are_named(total: int, listing: str) -> None:
    a, b, c, d, e = played(5)
    named = [
        f"{{media: {{ids: [{a}]}}}}",
        f"{{media: {{ids: [{b}]}}, dimensions: [{{os: Android}}, {{os: Android, region: cn-beijing}}]}}",
        f"{{media: {{ids: [{c}, {a}]}}, dimensions: [{{os: iOS}}]}}",
        f"{{media: {{ids: [{d}]}}, dimensions: [{{os: Windows}}]}}",
        f"{{media: {{ids: [{e}, {b}]}}, dimensions: [{{os: macOS}}]}}",
    ]
    queries = [*named, *filter(None, [listing])]
    lines = [f"  - {query[:-1]}, name: q{n}, days_ago: [1], expected: false}}\n" for n, query in enumerate(queries)]
    text = "".join((CONFIGURATION.partition("queries:")[0], "queries:\n", *lines))
    async with replicas(WHOLE, *of(total), text=text) as harnesses:
        for harness in harnesses:
            await harness.poll()
        described, *parts = [await harness.series("^aliyun_vod_media_(info|duration_seconds)") for harness in harnesses]

    expected = {name for name in described if any(media_id in name for media_id in (a, b, c, d, e))}
    name_counts = Counter(name for part in parts for name in part)
    assert len(expected) == 10
    assert name_counts.keys() >= expected
    assert set(name_counts.values()) == {1}
    assert described.keys() >= name_counts.keys()


async def test_a_video_that_a_search_finds_later_has_one_title() -> None:
    text = CONFIGURATION + "  - {name: os, media: all, dimensions: [{os: [iOS, Android, Linux]}], expected: false}\n"
    media = "{search: {tags: [mine], every: 1h}}"
    async with replicas(*of(2), text=text, media=media, dimensions="[{}]") as parts:
        library, clock = parts[0].simulator.library, parts[0].clock
        for video in list(library.at(clock.at).by_id.values())[:2]:
            library.put(tagged(video))
            for part in parts:
                assert await part.poll(later=1_800) == "success,success"
                for job in part.exporter.jobs(part.exporter.replica):
                    if job.id.kind is JobKind.SEARCH:
                        assert await job.run() is None
                await part.poll()

        titles = Counter[str]()
        for part in parts:
            titles.update((await part.series("^aliyun_vod_media_info")).keys())
        assert set(titles.values()) == {1}


async def test_a_replica_that_polls_nothing_of_an_account_does_not_search() -> None:
    async with replicas(*of(9), media="{search: {tags: [promo]}}", dimensions="[{}]") as parts:
        for part in parts:
            assert await part.poll() == "success"
        searches = [call for call in parts[0].simulator.request_log.calls if call.action == "SearchMedia"]
        assert len(searches) == 1


async def test_categories_are_requested_by_replicas_that_need_them_alone() -> None:
    metadata = CONFIGURATION.replace("- name: main", "- name: main\n    metadata: {labels: [category]}")
    async with replicas(*of(2), text=metadata) as parts:
        requested = []
        for part in parts:
            assert await part.poll() == "success"
            part.simulator.request_log.clear()
            assert await part.exporter.discovery.refresh_metadata("main") is None
            requested.append({call.action for call in part.simulator.request_log.calls})
        exported = [bool(await part.series("^aliyun_vod_(category|media_metadata)_info")) for part in parts]

    assert sorted(exported) == [False, True]
    assert requested[exported.index(True)] == {"GetCategories", "GetVideoInfos"}
    assert requested[exported.index(False)] == set()


async def test_every_replica_has_its_own_metrics_and_is_ready_even_without_queries() -> None:
    async with replicas(*of(9), dimensions="[{}]") as parts:
        busy = [part for part in parts if part.exporter.queries[0].dimensions]
        assert len(busy) == 1
        for part in parts:
            assert await part.poll() == "success"
            assert not part.exporter.pending_queries()
            assert await part.series("^aliyun_vod_query_up") == {'aliyun_vod_query_up{account="main",query="q"}': 1}
            assert bool(await part.series("^aliyun_vod_slice")) == (part in busy)


async def test_the_limits_of_the_account_are_kept_by_all_together() -> None:
    text = CONFIGURATION.replace("requests_per_second: 1000", "requests_per_second: 10, calls_per_day: 100")
    async with replicas(*of(3), text=text) as parts:
        rates = [(await part.series("rate_limit")).popitem()[1] for part in parts]
        calls = [(await part.series("calls_remaining")).popitem()[1] for part in parts]

    assert sum(rates) == pytest.approx(10)
    assert 97 <= sum(calls) <= 100
    assert min(calls) >= 1


async def test_a_week_is_compared_within_one_replica_also_after_midnight() -> None:
    async with replicas(*of(4)) as parts:
        for later in (0.0, 86_400.0):
            parts[0].clock.at += later
            for part in parts:
                await part.poll()
                newer, older = [
                    {name.replace(f'days_ago="{ago}"', "") for name in await part.series(f'slice_ready.*="{ago}"')}
                    for ago in (1, 8)
                ]
                assert newer == older
