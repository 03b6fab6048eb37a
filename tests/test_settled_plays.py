"""The last settled day and its expected plays: calls, nights, restarts; with a simulated service."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exporter.core.expectation import expected_plays
from exporter.simulator.options import SimulatorOptions
from tests.harness import CONFIGURATION, NOON, Clock, Stage, staged

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0
DAY = 24 * HOUR
MEDIA = SimulatorOptions(media=20)


async def settled(stage: Stage, name: str = "settled_plays") -> dict[str, float]:
    found = await stage.series(rf"^aliyun_vod_media_{name}{{")
    return {re.findall(r'media_id="([^"]*)"', labels)[0]: value for labels, value in found.items()}


async def settled_date(stage: Stage) -> list[float]:
    return list((await stage.series("^aliyun_vod_slice_settled_date_timestamp_seconds")).values())


def expected(stage: Stage, days_ago: int = 1) -> dict[str, float]:
    """The plays expected on a day, from the simulator's own numbers."""
    truth = {used: stage.truth(days_ago - 1 + used) for used in (2, 8, 9)}
    plays = {m: expected_plays({used: truth[used].get(m, 0) for used in truth}) for m in stage.truth(days_ago)}
    return {media_id: number for media_id, number in plays.items() if number is not None}


async def poll(stage: Stage, times: int = 3) -> None:
    for _ in range(times):
        assert await stage.poll(later=900) == "success"


def calls(stage: Stage) -> list[str]:
    """The play dates of all calls so far, and forgets them."""
    dates = [call.parameters["PlayDate"] for call in stage.simulator.request_log.calls]
    stage.simulator.request_log.clear()
    return dates


async def test_a_query_for_yesterday_has_expected_plays() -> None:
    async with staged(MEDIA, expected="true") as stage:
        await poll(stage)

        assert await settled(stage) == stage.truth(1)
        assert await settled(stage, "settled_plays_expected") == expected(stage)
        assert await settled_date(stage) == [NOON - 36 * HOUR]


async def test_days_that_only_expected_plays_need_have_no_series_of_their_own() -> None:
    async with staged(MEDIA, expected="true") as stage:
        await poll(stage)
        assert set(await stage.series("days_ago=")) == set(await stage.series('days_ago="1"'))
        named = await stage.series("^aliyun_vod_(slice|play)")

    async with staged(MEDIA, expected="false") as stage:
        await poll(stage)
        assert not await settled(stage)
        assert named.keys() - (await stage.series("^aliyun_vod_(slice|play)")).keys() == {
            'aliyun_vod_slice_settled_date_timestamp_seconds{account="main",terminal_type="all",os="all",region="all"}'
        }


async def test_on_a_steady_day_they_cost_no_call() -> None:
    async with staged(MEDIA, expected="true") as stage:
        await poll(stage)
        assert set(calls(stage)) == {"20240323", "20240322", "20240321", "20240316", "20240315", "20240314"}
        # A day is missing of those that will be needed, because it was yesterday before the first poll.
        stage.clock.at += DAY
        await poll(stage)
        calls(stage)
        for _ in range(8):
            stage.clock.at += DAY
            await poll(stage)
        calls(stage)

        stage.clock.at += DAY
        await poll(stage)

        assert set(calls(stage)) == {"20240402"}


async def test_a_query_without_yesterday_asks_for_nothing_more() -> None:
    async with staged(MEDIA, expected="true", days_ago="[0]") as stage:
        await poll(stage)

        assert set(calls(stage)) == {"20240324"}
        assert not await settled_date(stage)


async def test_the_day_changes_when_the_next_one_settles_and_not_at_midnight() -> None:
    async with staged(MEDIA, expected="true") as stage:
        await poll(stage)
        before = await settled(stage), await settled(stage, "settled_plays_expected"), await settled_date(stage)

        stage.clock.at = NOON + 20.75 * HOUR  # 08:45 of the next day
        for _ in range(3):  # 09:00 is the first time at which the day can be final
            await poll(stage, 1)
            shown = await settled(stage), await settled(stage, "settled_plays_expected"), await settled_date(stage)
            if (await stage.series('^aliyun_vod_slice_settled{.*days_ago="1"')).popitem()[1] == 0:
                assert shown == before
        await poll(stage, 1)

        assert await settled(stage) == stage.truth(1)
        assert await settled_date(stage) == [NOON - 12 * HOUR]


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    async with staged(MEDIA, clock=clock, storage=tmp_path / "vod.db", expected="true") as stage:
        await poll(stage)
        before = await stage.series("settled_(plays|date)")
        assert before

    async with staged(MEDIA, clock=clock, storage=tmp_path / "vod.db", expected="true") as stage:
        assert await stage.series("settled_(plays|date)") == before
        await poll(stage)
        assert not calls(stage)


async def test_a_media_asked_for_by_id_that_nobody_plays_is_zero_and_expected_to_be() -> None:
    async with staged(MEDIA, expected="true", media="{ids: [never]}") as stage:
        await poll(stage)

        assert await settled(stage) == await settled(stage, "settled_plays_expected") == {"never": 0}


async def test_after_the_first_poll_of_a_morning_the_day_before_yesterday_is_compared() -> None:
    # Yesterday can be final since 09:00 and was seen once; the day before yesterday is compared with three older days.
    async with staged(MEDIA, expected="true") as stage:
        await poll(stage, 1)

        assert await settled(stage) == stage.truth(2)
        assert await settled(stage, "settled_plays_expected") == expected(stage, 2)
        assert await settled_date(stage) == [NOON - 60 * HOUR]


async def test_a_query_polled_once_a_day_has_expected_plays_every_day() -> None:
    async with staged(MEDIA, expected="true") as stage:
        for _ in range(5):
            await poll(stage, 1)
            found = await settled(stage)
            # A media that was played the day before has 0 plays if it has none.
            assert {media_id: plays for media_id, plays in found.items() if plays} == stage.truth(2)
            assert found.keys() - stage.truth(2).keys() <= stage.truth(3).keys()
            assert (await settled(stage, "settled_plays_expected")).items() >= expected(stage, 2).items()
            stage.clock.at += DAY - 900


async def test_as_far_as_the_budget_allows_the_days_that_are_published_come_first() -> None:
    text = CONFIGURATION.replace("concurrency: 8", "concurrency: 1, calls_per_day: 3")
    async with staged(MEDIA, expected="true", days_ago="[1, 8]", text=text) as stage:
        assert await stage.poll() == "partial"

        assert calls(stage) == ["20240323", "20240316", "20240322"]
