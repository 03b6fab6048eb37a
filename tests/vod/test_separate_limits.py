"""Calls that must not delay the others of an account: of their own but for the daily quota."""

from __future__ import annotations

import asyncio

import pytest

from exporter.errors import ErrorKind, ErrorScope, QuotaExceeded, UpstreamError
from exporter.vod.rate_limits import AccountLimits
from exporter.vod.separate_limits import SeparateLimits
from tests.vod.fakes import Clock, FakeMeter

NOON = 1_711_252_800.0  # 12:00 UTC+8


def limits(
    calls_per_day: int, needed: int | None = None, *, start: float = NOON
) -> tuple[Clock, FakeMeter, AccountLimits, SeparateLimits]:
    clock, meter = Clock(start), FakeMeter()
    shared = AccountLimits(
        "main",
        requests_per_second=1,
        concurrency=1,
        calls_per_day=calls_per_day,
        meter=meter,
        now=clock.now,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
    )
    separate = SeparateLimits(
        "main",
        shared,
        requests_per_second=1,
        now=clock.now,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
    )
    separate.needed = needed
    return clock, meter, shared, separate


async def spend_all(separate: SeparateLimits) -> int:
    calls = 0
    while True:
        try:
            separate.spend()
        except QuotaExceeded as error:
            assert "kept for play data" in error.message  # noqa: PT017 - how many calls came before matters
            return calls
        calls += 1


@pytest.mark.parametrize(
    ("needed", "left"),
    [
        pytest.param(None, 50, id="unknown: the half of the day that is left"),
        pytest.param(10, 10, id="known"),
        pytest.param(90, 50, id="more than the rest of the day is of a day"),
        pytest.param(0, 0, id="none"),
    ],
)
async def test_the_others_keep_what_they_need(needed: int | None, left: int) -> None:
    _, _, shared, separate = limits(100, needed)
    assert await spend_all(separate) == 100 - left
    assert shared.calls_remaining == left
    for _ in range(left):
        shared.spend()
    assert shared.calls_remaining == 0


async def test_the_error_names_the_account_and_the_limit() -> None:
    _, _, _, separate = limits(100, 100, start=NOON + 43_199)
    await spend_all(separate)
    with pytest.raises(QuotaExceeded, match=r"account main: .* \(1 of 100\) are kept for play data") as caught:
        separate.spend()
    assert (caught.value.code, caught.value.kind) == ("calls_per_day", ErrorKind.OTHER)
    assert "limits.calls_per_day" in caught.value.advice


async def test_calls_of_the_others_count() -> None:
    _, _, shared, separate = limits(100, 10)
    for _ in range(95):
        shared.spend()
    assert await spend_all(separate) == 0
    with pytest.raises(QuotaExceeded):
        async with separate.acquire("Ask"):
            pass


async def test_without_a_daily_quota_nothing_is_kept() -> None:
    _, _, shared, separate = limits(0)
    for _ in range(1_000):
        separate.spend()
    assert shared.calls_remaining is None


async def test_they_wait_for_none_of_the_others_and_none_for_them() -> None:
    clock, _, shared, separate = limits(0)
    passed: list[str] = []

    async def call(name: str, of: AccountLimits) -> None:
        async with of.acquire("Ask"):
            passed.append(name)
            await asyncio.sleep(3_600)

    waiting = [asyncio.ensure_future(call(name, of)) for name, of in (("separate", separate), ("other", shared))]
    await clock.settle()
    assert sorted(passed) == ["other", "separate"]
    for each in waiting:
        each.cancel()


async def test_throttling_of_one_slows_only_that() -> None:
    _, _, shared, separate = limits(0)
    error = UpstreamError("", code="Throttling.User", kind=ErrorKind.THROTTLED, wait=60.0)
    async with separate.acquire("Ask") as permit:
        separate.on_error("Ask", permit, error)
    assert separate.requests_per_second == 0.5
    assert shared.requests_per_second == 1
    async with shared.acquire("Ask"):
        pass


async def test_they_have_a_rate_and_one_slot_of_their_own() -> None:
    clock, _, _, separate = limits(0)
    begun: list[float] = []

    async def call(seconds: float) -> None:
        async with separate.acquire("Ask"):
            begun.append(clock.elapsed)
            await clock.sleep(seconds)

    async def calls() -> None:
        await asyncio.gather(call(0.1), call(5), call(0))

    await clock.run(calls())
    assert begun == pytest.approx([0, 1, 6], abs=0.1)


async def test_an_action_that_is_throttled_by_itself_waits() -> None:
    clock, _, _, separate = limits(0)
    error = UpstreamError("", code="Throttling.Api", kind=ErrorKind.THROTTLED, scope=ErrorScope.ACTION, wait=60.0)
    async with separate.acquire("Ask") as permit:
        separate.on_error("Ask", permit, error)

    async def call() -> float:
        async with separate.acquire("Ask"):
            return clock.elapsed

    assert await clock.run(call()) >= 60
