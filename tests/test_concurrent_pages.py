"""Pages of one slice are requested concurrently over HTTP, within the limits of the account."""

from __future__ import annotations

import pytest

from exporter.simulator.faults import Fault
from exporter.simulator.options import SimulatorOptions
from tests.harness import CONFIGURATION, running_harness

MEDIA = 2_000


def limited(limits: str) -> str:
    return CONFIGURATION.replace("requests_per_second: 1000, concurrency: 8", limits)


@pytest.mark.parametrize("concurrency", [1, 3, 16])
async def test_all_pages_are_read_once_and_in_order(concurrency: int) -> None:
    text = limited(f"requests_per_second: 1000, concurrency: {concurrency}")
    async with running_harness(SimulatorOptions(media=MEDIA), text=text) as harness:
        assert await harness.poll() == "success"

        pages = [int(call.parameters["PageNo"]) for call in harness.simulator.request_log.calls]
        assert len(pages) > 10
        assert sorted(pages) == list(range(1, len(pages) + 1))
        assert await harness.plays() == harness.truth()


async def test_pages_requested_ahead_do_not_exceed_the_daily_quota() -> None:
    text = limited("requests_per_second: 1000, concurrency: 8, calls_per_day: 5")
    async with running_harness(SimulatorOptions(media=MEDIA), text=text) as harness:
        assert await harness.poll() == "skipped"

        assert len(harness.simulator.request_log.calls) <= 5
        assert await harness.series("calls_remaining") == {'aliyun_vod_api_calls_remaining_today{account="main"}': 0}
        assert await harness.plays() == {}


async def test_a_page_that_fails_once_is_repeated_while_others_arrive() -> None:
    async with running_harness(SimulatorOptions(media=MEDIA)) as harness:
        harness.simulator.change(faults=(Fault("Meter.ServerInternalError", times=1, when={"PageNo": "3"}),))

        assert await harness.poll() == "success"

        assert await harness.errors() == {("Meter.ServerInternalError", "server"): 1}
        assert await harness.plays() == harness.truth()


async def test_when_a_page_fails_for_good_no_more_are_in_vain_than_may_be_under_way() -> None:
    async with running_harness(SimulatorOptions(media=MEDIA)) as harness:
        harness.simulator.change(faults=(Fault("Meter.ParamError", when={"PageNo": "4"}),))

        assert await harness.poll() == "partial"

        requested = {int(call.parameters["PageNo"]) for call in harness.simulator.request_log.calls}
        assert {1, 2, 3, 4} <= requested <= set(range(1, 4 + 8))
        plays = await harness.plays()
        assert len(plays) >= 300, "the pages before it"
        assert plays.items() <= harness.truth().items()
