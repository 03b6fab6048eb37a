"""The last settled day and its expected plays: calls, nights, restarts; with a simulated service."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from exporter.core import play_dates
from exporter.core.expectation import expected_plays, usual_step
from exporter.simulator.faults import Fault
from exporter.simulator.options import SimulatorOptions
from tests.harness import CONFIGURATION, NOON, Clock, Harness, running_harness

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0
DAY = 24 * HOUR
MEDIA = SimulatorOptions(media=20)


async def settled(harness: Harness, name: str = "settled_plays") -> dict[str, float]:
    found = await harness.series(rf"^aliyun_vod_media_{name}{{")
    return {re.findall(r'media_id="([^"]*)"', labels)[0]: value for labels, value in found.items()}


async def settled_date(harness: Harness) -> list[float]:
    return list((await harness.series("^aliyun_vod_slice_settled_date_timestamp_seconds")).values())


def expected(harness: Harness, days_ago: int = 1) -> dict[str, float]:
    """The plays expected on a day, from the simulator's own numbers."""
    truth = {used: harness.truth(days_ago - 1 + used) for used in (2, 8, 9)}
    plays = {m: expected_plays({used: truth[used].get(m, 0) for used in truth}) for m in harness.truth(days_ago)}
    return {media_id: number for media_id, number in plays.items() if number is not None}


def expected_with_new_media(harness: Harness) -> dict[str, float]:
    """The same, from the days that new media have, too."""
    truth = {used: harness.truth(used) for used in (2, 3, 4, 8, 9)}
    step = usual_step((plays, truth[8].get(media_id, 0)) for media_id, plays in truth[9].items())
    plays = {m: expected_plays({used: truth[used].get(m, 0) for used in truth}, step) for m in harness.truth(1)}
    return {media_id: number for media_id, number in plays.items() if number is not None}


async def poll(harness: Harness, times: int = 3) -> None:
    for _ in range(times):
        assert await harness.poll(later=900) == "success"


def calls(harness: Harness) -> list[str]:
    """The play dates of all calls since this was last called."""
    dates = [call.parameters["PlayDate"] for call in harness.simulator.request_log.calls]
    harness.simulator.request_log.clear()
    return dates


async def test_a_query_for_yesterday_has_expected_plays() -> None:
    async with running_harness(MEDIA, expected="true") as harness:
        await poll(harness)

        assert await settled(harness) == harness.truth(1)
        assert await settled(harness, "settled_plays_expected") == expected(harness)
        assert await settled_date(harness) == [NOON - 36 * HOUR]


async def test_days_that_only_expected_plays_need_have_no_series_of_their_own() -> None:
    async with running_harness(MEDIA, expected="true") as harness:
        await poll(harness)
        assert set(await harness.series("days_ago=")) == set(await harness.series('days_ago="1"'))
        named = await harness.series("^aliyun_vod_(slice|play)")

    async with running_harness(MEDIA, expected="false") as harness:
        await poll(harness)
        assert not await settled(harness)
        assert named.keys() - (await harness.series("^aliyun_vod_(slice|play)")).keys() == {
            'aliyun_vod_slice_settled_date_timestamp_seconds{account="main",terminal_type="all",os="all",region="all"}'
        }


async def test_on_a_steady_day_they_cost_no_call() -> None:
    async with running_harness(MEDIA, expected="true") as harness:
        await poll(harness)
        assert set(calls(harness)) == {"20240323", "20240322", "20240321", "20240316", "20240315", "20240314"}
        # A day is missing of those that will be needed, because it was yesterday before the first poll.
        harness.clock.at += DAY
        await poll(harness)
        calls(harness)
        for _ in range(8):
            harness.clock.at += DAY
            await poll(harness)
        calls(harness)

        harness.clock.at += DAY
        await poll(harness)

        assert set(calls(harness)) == {"20240402"}


async def test_a_query_without_yesterday_requests_no_further_days() -> None:
    async with running_harness(MEDIA, expected="true", days_ago="[0]") as harness:
        await poll(harness)

        assert set(calls(harness)) == {"20240324"}
        assert not await settled_date(harness)


async def test_the_day_changes_when_the_next_one_settles_and_not_at_midnight() -> None:
    async with running_harness(MEDIA, expected="true") as harness:
        await poll(harness)
        before = await settled(harness), await settled(harness, "settled_plays_expected"), await settled_date(harness)

        harness.clock.at = NOON + 20.75 * HOUR  # 08:45 of the next day
        for _ in range(3):  # 09:00 is the first time at which the day can be final
            await poll(harness, 1)
            published = (
                await settled(harness),
                await settled(harness, "settled_plays_expected"),
                await settled_date(harness),
            )
            if (await harness.series('^aliyun_vod_slice_settled{.*days_ago="1"')).popitem()[1] == 0:
                assert published == before
        await poll(harness, 1)

        assert await settled(harness) == harness.truth(1)
        assert await settled_date(harness) == [NOON - 12 * HOUR]


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    async with running_harness(MEDIA, clock=clock, storage=tmp_path / "vod.db", expected="true") as harness:
        await poll(harness)
        before = await harness.series("settled_(plays|date)")
        assert before

    async with running_harness(MEDIA, clock=clock, storage=tmp_path / "vod.db", expected="true") as harness:
        assert await harness.series("settled_(plays|date)") == before
        await poll(harness)
        assert not calls(harness)


async def test_a_media_requested_by_id_without_plays_is_zero_and_expected_zero() -> None:
    async with running_harness(MEDIA, expected="true", media="{ids: [never]}") as harness:
        await poll(harness)

        assert await settled(harness) == await settled(harness, "settled_plays_expected") == {"never": 0}


async def test_after_the_first_poll_of_a_morning_the_day_before_yesterday_is_compared() -> None:
    # Yesterday can be final since 09:00 and was seen once; the day before yesterday is compared with three older days.
    async with running_harness(MEDIA, expected="true") as harness:
        await poll(harness, 1)

        assert await settled(harness) == harness.truth(2)
        assert await settled(harness, "settled_plays_expected") == expected(harness, 2)
        assert await settled_date(harness) == [NOON - 60 * HOUR]


async def test_a_query_polled_once_a_day_has_expected_plays_every_day() -> None:
    async with running_harness(MEDIA, expected="true") as harness:
        for _ in range(5):
            await poll(harness, 1)
            found = await settled(harness)
            # A video that was played the day before has 0 plays if it has none.
            assert {media_id: plays for media_id, plays in found.items() if plays} == harness.truth(2)
            assert found.keys() - harness.truth(2).keys() <= harness.truth(3).keys()
            assert (await settled(harness, "settled_plays_expected")).items() >= expected(harness, 2).items()
            harness.clock.at += DAY - 900


async def test_from_the_second_day_on_new_media_have_expected_plays_after_a_restart_too(tmp_path: Path) -> None:
    clock, of_new = Clock(), 0
    for day in range(6):
        async with running_harness(clock=clock, expected="true", storage=tmp_path / "vod.db") as harness:
            await poll(harness)
            found = await settled(harness, "settled_plays_expected")
            plain, wanted = expected(harness), expected_with_new_media(harness)
            assert found.items() >= (wanted if day else plain).items()
            of_new += sum(wanted[media_id] > plain[media_id] for media_id in plain)
        clock.at += DAY - 3 * 900
    assert of_new > 5


async def test_a_search_that_finds_nothing_does_not_hide_the_day_of_other_media() -> None:
    search = "  - {name: search, media: {search: {title: nothing at all}}, days_ago: [1], every: 15m}\n"
    async with running_harness(MEDIA, expected="true", text=CONFIGURATION + search) as harness:
        for _ in range(3):
            assert await harness.poll(later=900) == "success,success"

        assert await settled(harness) == harness.truth(1)


async def test_as_far_as_the_budget_allows_the_days_that_are_published_come_first() -> None:
    text = CONFIGURATION.replace("concurrency: 8", "concurrency: 1, calls_per_day: 3")
    async with running_harness(MEDIA, expected="true", days_ago="[1, 8]", text=text) as harness:
        assert await harness.poll() == "partial"

        assert calls(harness) == ["20240323", "20240316", "20240322"]


async def test_days_that_a_cancelled_poll_has_read_are_compared_after_the_next_one() -> None:
    async with running_harness(MEDIA, expected="true") as harness:
        (query,) = harness.exporter.queries
        stalled = play_dates.play_date(harness.clock.at, 9).strftime("%Y%m%d")
        harness.simulator.change(faults=(Fault("stall", when={"PlayDate": stalled}),))
        cancelled = asyncio.ensure_future(harness.exporter.poll(query))
        while sum((await harness.series("^aliyun_vod_api_request_duration_seconds_count")).values()) < 5:
            await asyncio.sleep(0)  # until all days but the stalled one are read
        cancelled.cancel()
        await asyncio.wait({cancelled})
        harness.simulator.change(faults=())

        await poll(harness, 2)

        assert await settled(harness, "settled_plays_expected") == expected(harness)
