"""The limits of an account: a request rate that throttling lowers, concurrent requests, and the daily quota."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from exporter.errors import ErrorKind, ErrorScope
from exporter.vod.daily_quota import DailyQuota

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from exporter.errors import UpstreamError
    from exporter.vod.daily_quota import QuotaStore

MIN_REQUESTS_PER_SECOND: Final = 0.1
"""Requests a second that throttling cannot push the rate below (unless less is configured)."""
RECOVERY: Final = 60.0
"""Seconds in which the rate rises from 0 to the configured one while requests succeed."""
_SLACK: Final = 0.05
"""Seconds of a late wake-up that the next request makes up for, so that the rate is reached on a busy loop."""


class LimitsMeter(Protocol):
    """Observes the limits in force."""

    def rate_changed(self, account: str, per_second: float) -> None:
        """The rate is now `per_second`."""
        ...

    def calls_remaining(self, account: str, calls: int | None) -> None:
        """The calls left today; None: unlimited."""
        ...


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one request; `at` is when it was granted, on the monotonic clock."""

    at: float


class AdaptiveRateLimiter:
    """Grants permits one after the other, at a rate that adapts to throttling.

    In t seconds it grants at most `rate * (t + 0.05) + 1`, first come, first served. A cancelled waiter uses none.
    """

    def __init__(
        self, per_second: float, *, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self.per_second = per_second
        self._fastest = per_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._queue = asyncio.Lock()
        self._last = -math.inf
        self._held_until = -math.inf
        self._slowed_at = -math.inf
        self._grown_at = -math.inf

    async def acquire(self) -> Permit:
        """Wait for the next permit."""
        async with self._queue:
            # The rate may change and a hold may begin while we sleep.
            while (wait := max(self._last + 1 / self.per_second, self._held_until) - self._monotonic()) > 0:
                await self._sleep(wait)
            now = self._monotonic()
            interval = 1 / self.per_second
            self._last = max(self._last + interval, now - min(_SLACK, interval))
            return Permit(now)

    @property
    def unrestricted(self) -> bool:
        """Whether the rate is the configured one and no hold lasts."""
        return self.per_second >= self._fastest and self._monotonic() >= self._held_until

    def honours(self, permit: Permit) -> bool:
        """Whether a permit is still valid: neither throttling nor a hold has followed it."""
        return permit.at >= self._slowed_at and self._monotonic() >= self._held_until

    def change(self, per_second: float) -> None:
        """Change the configured rate; a rate lowered by throttling recovers from where it is."""
        slowed = self.per_second < self._fastest
        self._fastest = per_second
        self.per_second = min(self.per_second, per_second) if slowed else per_second

    def block_for(self, seconds: float) -> None:
        """Grant no permit for this many seconds."""
        self._held_until = max(self._held_until, self._monotonic() + seconds)

    def on_throttled(self, permit: Permit) -> None:
        """Halve the rate, once for all requests that were in flight when it was too high."""
        if permit.at < self._slowed_at:
            return
        self._slowed_at = self._grown_at = self._monotonic()
        self.per_second = max(min(MIN_REQUESTS_PER_SECOND, self._fastest), self.per_second / 2)

    def on_success(self, permit: Permit) -> None:
        """Raise the rate by the time since it last changed; requests permitted before the last halving do not count."""
        if self.per_second >= self._fastest or permit.at < self._slowed_at:
            return
        now = self._monotonic()
        climbed = self._fastest * (now - self._grown_at) / RECOVERY
        self._grown_at = now
        self.per_second = min(self._fastest, self.per_second + climbed)


class AccountLimits:
    """The limits of one account, shared by all its queries and actions.

    An action that the service throttles by itself has a rate of its own, besides that of the account, until it has
    recovered. `meter` gets nothing before the first call of `report`, a change or a request: limits of a configuration
    that is rejected leave no trace in metrics.
    """

    def __init__(
        self,
        account: str,
        *,
        requests_per_second: float,
        concurrency: int,
        calls_per_day: int = 0,
        meter: LimitsMeter,
        quota_store: QuotaStore | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._account = account
        self._meter = meter
        self.concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._new_rate_limiter = partial(AdaptiveRateLimiter, monotonic=monotonic, sleep=sleep)
        self._rate_limiter = self._new_rate_limiter(requests_per_second)
        self._configured_rate = requests_per_second
        self._throttled_actions: dict[str, AdaptiveRateLimiter] = {}
        self._quota = DailyQuota(account, calls_per_day, now=now, quota_store=quota_store)
        self._reported_rate: float | None = None
        self._reported_remaining: int | None = None

    @property
    def requests_per_second(self) -> float:
        """The current rate, per second; the lowest one if the service throttles single actions."""
        return min(each.per_second for each in (self._rate_limiter, *self._throttled_actions.values()))

    @property
    def calls_per_day(self) -> int:
        """The daily quota; 0: unlimited."""
        return self._quota.calls_per_day

    @property
    def calls_remaining(self) -> int | None:
        """Calls left today in UTC+8; None: unlimited."""
        return self._quota.remaining

    def change(self, *, requests_per_second: float, concurrency: int, calls_per_day: int) -> None:
        """Apply other limits; a rate lowered by throttling and the calls made today stay.

        Requests in flight, and those that already wait for a slot, keep to the previous slots.
        """
        self._configured_rate = requests_per_second
        for limiter in (self._rate_limiter, *self._throttled_actions.values()):
            limiter.change(requests_per_second)
        self._quota.change(calls_per_day)
        if concurrency != self.concurrency:
            self.concurrency, self._slots = concurrency, asyncio.Semaphore(concurrency)
        self.report()

    @asynccontextmanager
    async def acquire(self, action: str) -> AsyncIterator[Permit]:
        """Wait for a permit and a concurrency slot, which is held while the block runs; raises QuotaExceeded.

        A request that is sent must be counted with `spend`; a permit may stay unused.
        """
        self.report()  # a day may have begun
        self._quota.check()
        granted: Permit | None = None
        while True:
            if (limiter := self._throttled_actions.get(action)) is not None:
                # Without a slot, which other actions use meanwhile.
                granted = await limiter.acquire()
            async with self._slots:
                permit = await self._rate_limiter.acquire()
                if self._permits(action, granted):
                    yield permit
                    return

    def _permits(self, action: str, granted: Permit | None) -> bool:
        """Whether the action has no limiter, or one that granted this permit and has not taken it back."""
        limiter = self._throttled_actions.get(action)
        return limiter is None or (granted is not None and limiter.honours(granted))

    def spend(self) -> None:
        """Count a call that is about to be sent; raises QuotaExceeded."""
        self._quota.spend()
        self.report()

    def on_success(self, action: str, permit: Permit) -> None:
        """The request of that action with that permit succeeded."""
        self._rate_limiter.on_success(permit)
        if (limiter := self._throttled_actions.get(action)) is not None:
            limiter.on_success(permit)
            if limiter.unrestricted:
                del self._throttled_actions[action]
        self.report()

    def on_error(self, action: str, permit: Permit, error: UpstreamError) -> None:
        """The request of that action with that permit failed; honours a wait that the service requested."""
        throttled = error.kind is ErrorKind.THROTTLED
        limiter = self._rate_limiter
        if throttled and error.scope is ErrorScope.ACTION:
            limiter = self._throttled_actions.get(action) or self._throttle_action(action)
        if throttled:
            limiter.on_throttled(permit)
        if error.wait is not None:
            limiter.block_for(error.wait)
        self.report()

    def _throttle_action(self, action: str) -> AdaptiveRateLimiter:
        limiter = self._new_rate_limiter(self._configured_rate)
        limiter.per_second = self._rate_limiter.per_second
        self._throttled_actions[action] = limiter
        return limiter

    def report(self) -> None:
        """Report the rate and the calls left where they have changed: by a request, or because a day has begun."""
        rate, remaining = self.requests_per_second, self._quota.remaining
        if rate != self._reported_rate:
            self._reported_rate = rate
            self._meter.rate_changed(self._account, rate)
        if remaining != self._reported_remaining:
            self._reported_remaining = remaining
            self._meter.calls_remaining(self._account, remaining)
