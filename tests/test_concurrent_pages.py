"""Pages of one slice are asked for together, over HTTP, and the account's limits hold all the same."""

from __future__ import annotations

import pytest

from exporter.simulator.faults import Fault
from exporter.simulator.options import SimulatorOptions
from tests.harness import CONFIGURATION, staged

MEDIA = 2_000


def limited(limits: str) -> str:
    return CONFIGURATION.replace("requests_per_second: 1000, concurrency: 8", limits)


@pytest.mark.parametrize("concurrency", [1, 3, 16])
async def test_all_pages_are_read_once_and_in_order(concurrency: int) -> None:
    text = limited(f"requests_per_second: 1000, concurrency: {concurrency}")
    async with staged(SimulatorOptions(media=MEDIA), text=text) as stage:
        assert await stage.poll() == "success"

        pages = [int(call.parameters["PageNo"]) for call in stage.simulator.request_log.calls]
        assert len(pages) > 10
        assert sorted(pages) == list(range(1, len(pages) + 1))
        assert await stage.plays() == stage.truth()


async def test_pages_asked_for_ahead_do_not_overspend_a_day() -> None:
    text = limited("requests_per_second: 1000, concurrency: 8, calls_per_day: 5")
    async with staged(SimulatorOptions(media=MEDIA), text=text) as stage:
        assert await stage.poll() == "skipped"

        assert len(stage.simulator.request_log.calls) <= 5
        assert await stage.series("calls_remaining") == {'aliyun_vod_api_calls_remaining_today{account="main"}': 0}
        assert await stage.plays() == {}


async def test_a_page_that_fails_once_is_repeated_while_others_arrive() -> None:
    async with staged(SimulatorOptions(media=MEDIA)) as stage:
        stage.simulator.change(faults=(Fault("Meter.ServerInternalError", times=1, when={"PageNo": "3"}),))

        assert await stage.poll() == "success"

        assert await stage.errors() == {("Meter.ServerInternalError", "server"): 1}
        assert await stage.plays() == stage.truth()


async def test_when_a_page_fails_for_good_no_more_are_in_vain_than_may_be_under_way() -> None:
    async with staged(SimulatorOptions(media=MEDIA)) as stage:
        stage.simulator.change(faults=(Fault("Meter.ParamError", when={"PageNo": "4"}),))

        assert await stage.poll() == "partial"

        asked = {int(call.parameters["PageNo"]) for call in stage.simulator.request_log.calls}
        assert {1, 2, 3, 4} <= asked <= set(range(1, 4 + 8))
        plays = await stage.plays()
        assert len(plays) >= 300, "the pages before it"
        assert plays.items() <= stage.truth().items()
