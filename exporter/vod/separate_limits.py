"""Limits of calls that must not delay the other calls of an account; only the daily quota is shared."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from exporter.core import play_dates
from exporter.errors import ErrorKind, QuotaExceeded
from exporter.vod.rate_limits import AccountLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from exporter.vod.rate_limits import Permit


class SeparateLimits(AccountLimits):
    """Limits of calls to an action with a rate limit of its own in the service.

    They have a rate, throttling and one slot of their own, so that these calls and the other calls of the account never
    wait for each other. They count in the account's daily quota, which reserves `needed` calls (None: unknown) for the
    other calls, at most in proportion to the rest of the day.
    """

    def __init__(
        self,
        account: str,
        shared: AccountLimits,
        *,
        requests_per_second: float,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        super().__init__(
            account,
            requests_per_second=requests_per_second,
            concurrency=1,
            meter=_Unmetered(),
            monotonic=monotonic,
            sleep=sleep,
        )
        self._shared = shared
        self._clock = now
        self.needed: int | None = None

    @asynccontextmanager
    async def acquire(self, action: str) -> AsyncIterator[Permit]:
        """As for the account; raises QuotaExceeded where the calls left are kept for other calls."""
        self._check()
        async with super().acquire(action) as permit:
            yield permit

    def spend(self) -> None:
        """Count a call in the quota of the account; raises QuotaExceeded."""
        self._check()
        self._shared.spend()

    def _check(self) -> None:
        remaining, calls_per_day = self._shared.calls_remaining, self._shared.calls_per_day
        if remaining is None:
            return
        rest = play_dates.rest_of_day(self._clock())
        kept = min(math.ceil(calls_per_day * rest), calls_per_day if self.needed is None else self.needed)
        if remaining <= kept:
            raise QuotaExceeded(
                f"account {self._account}: the calls left of calls_per_day ({remaining} of {calls_per_day}) are kept"
                " for play data",
                code="calls_per_day",
                kind=ErrorKind.OTHER,
                advice="Raise limits.calls_per_day of the account, or poll players less often or with fewer targets.",
            )


class _Unmetered:
    """Reports nothing: the metrics of limits describe the account's own."""

    def rate_changed(self, account: str, per_second: float) -> None:
        pass

    def calls_remaining(self, account: str, calls: int | None) -> None:
        pass
