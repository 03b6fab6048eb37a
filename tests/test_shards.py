"""Several replicas with one configuration: together they are one exporter."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from exporter.app import Surroundings, assembled
from exporter.core.shard import WHOLE, Shard
from exporter.simulator.settings import Settings
from tests.stage import CONFIGURATION, Clock, Stage, configuration, simulated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

DIMENSIONS = "[{}, {terminal_type: [Native, Web]}, {os: [Android, iOS, Windows]}, {region: cn-beijing}]"
# What describes media, slices and days; what is about the exporter itself every replica has.
PLAY = r"^aliyun_vod_(media|slice|play_date)"


@contextlib.asynccontextmanager
async def replicas(
    *shards: Shard, text: str = CONFIGURATION, media: str = "all", dimensions: str = DIMENSIONS
) -> AsyncGenerator[list[Stage]]:
    """One simulator and an exporter for each shard."""
    clock = Clock()
    surroundings = Surroundings({}, clock.now, clock.now, clock.sleep)
    async with simulated(Settings(media=30), clock) as (simulator, url), contextlib.AsyncExitStack() as stack:
        config = configuration(url, text=text, media=media, dimensions=dimensions, days_ago="[0, 1, 8]")
        yield [
            Stage(await stack.enter_async_context(assembled(config, surroundings, None, shard)), simulator, clock)
            for shard in shards
        ]


def of(total: int) -> list[Shard]:
    return [Shard(number, total) for number in range(total)]


@pytest.mark.parametrize("media", ["all", "{top: 7}"])
@pytest.mark.parametrize("total", [2, 5])
async def test_together_they_make_the_calls_and_show_the_series_of_one(media: str, total: int) -> None:
    async with replicas(WHOLE, *of(total), media=media) as (whole, *parts):
        assert await whole.poll() == "success"
        calls = Counter(tuple(sorted(call.parameters.items())) for call in whole.simulator.journal.calls)
        whole.simulator.journal.forget()
        for part in parts:
            assert await part.poll() == "success"

        assert Counter(tuple(sorted(call.parameters.items())) for call in whole.simulator.journal.calls) == calls
        shown = [await part.series(PLAY) for part in parts]
        of_media = {name for name in await whole.series(PLAY) if re.match("aliyun_vod_media_(info|duration_)", name)}
        seen = Counter(name for series in shown for name in series)
        assert set(seen.values()) == {1}
        missing = set(await whole.series(PLAY)) - set(seen)
        # Who is among the first by some filter only, is not known to the replica that describes media.
        assert missing <= (of_media if media != "all" else set())
        assert not set(seen) - set(await whole.series(PLAY))


async def test_every_replica_tells_of_itself_and_is_ready_even_with_nothing_to_poll() -> None:
    async with replicas(*of(9), dimensions="[{}]") as parts:
        busy = [part for part in parts if part.exporter.queries[0].dimensions]
        assert len(busy) == 1
        for part in parts:
            assert await part.poll() == "success"
            assert not part.exporter.awaited()
            assert await part.series("^aliyun_vod_query_up") == {'aliyun_vod_query_up{query="q"}': 1}
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
