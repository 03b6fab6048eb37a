"""Calls for searches and metadata wait for polls, and leave them the calls of the day that they need."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core import play_dates
from exporter.discovery.permits import COURTESY_SECONDS, QUOTA_SHARE, CallPermits
from exporter.errors import QuotaExceeded
from tests.harness import NOON


@dataclass
class Limits:
    calls_remaining: int | None = None


@dataclass
class Account:
    limits: Limits = field(default_factory=Limits)
    now: float = NOON
    waits: list[float] = field(default_factory=list)

    def permits(self) -> CallPermits:
        return CallPermits(lambda _: self.limits, lambda: self.now, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_a_call_waits_while_plays_of_its_account_are_polled_but_not_for_ever() -> None:
    account = Account()
    permits = account.permits()
    with permits.polling("other"):
        await permits.permit("main")
    assert account.waits == []
    with permits.polling("main"), permits.polling("main"):
        await permits.permit("main")
    assert sum(account.waits) == pytest.approx(COURTESY_SECONDS)
    account.waits.clear()
    await permits.permit("main")
    assert account.waits == []


async def test_a_poll_that_fails_ends() -> None:
    account = Account()
    permits = account.permits()
    with pytest.raises(ValueError, match="poll"), permits.polling("main"):
        raise ValueError("poll")
    await permits.permit("main")
    assert account.waits == []


@given(st.integers(1, 10_000), st.integers(0, 10_000), st.floats(0, 0.999))
async def test_polls_keep_nine_tenths_of_the_calls_that_the_rest_of_the_day_takes(
    per_day: int, remaining: int, passed: float
) -> None:
    midnight = play_dates.next_midnight(NOON)
    account = Account(Limits(remaining), now=midnight + passed * 86_400)
    permits = account.permits()
    permits.set_limits({"main": per_day})
    if remaining > per_day * play_dates.rest_of_day(account.now) * (1 - QUOTA_SHARE):
        await permits.permit("main")
    else:
        with pytest.raises(QuotaExceeded, match="account main: the calls_per_day that are left are kept"):
            await permits.permit("main")


@pytest.mark.parametrize(("per_day", "remaining"), [(0, 0), (100, None)])
async def test_without_a_limit_every_call_is_permitted(per_day: int, remaining: int | None) -> None:
    permits = Account(Limits(remaining)).permits()
    permits.set_limits({"main": per_day})
    await permits.permit("main")
