"""Time is skipped only while a peer is silent."""

from __future__ import annotations

import asyncio
import time

from tests.campaigns.faults.loop import SkippingLoop

HOUR = 3600.0


def test_a_timeout_of_an_hour_is_skipped_while_a_peer_is_silent() -> None:
    silent = [True]

    async def wait() -> float:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(HOUR):
                await asyncio.Event().wait()
        except TimeoutError:
            return asyncio.get_running_loop().time() - began
        raise AssertionError("nothing was to happen")

    with asyncio.Runner(loop_factory=lambda: SkippingLoop(lambda: silent[0])) as runner:
        assert runner.run(wait()) >= HOUR


def test_time_is_not_skipped_without_a_silent_peer() -> None:
    async def sleep() -> float:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time() - began

    began = time.monotonic()
    with asyncio.Runner(loop_factory=lambda: SkippingLoop(lambda: False)) as runner:
        passed = runner.run(sleep())
    assert 0.1 <= passed <= time.monotonic() - began
