"""When a call for searches or metadata may be made: not while play data is polled, nor with calls that polls need."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from exporter.core import play_dates
from exporter.errors import ErrorKind, QuotaExceeded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

# While play data is polled, a call waits until the polls have ended, but no longer than this.
COURTESY_SECONDS: Final = 5.0
QUOTA_SHARE: Final = 0.1
"""The part of calls_per_day that these calls may use ahead of an even distribution over the day."""


class AccountLimitsView(Protocol):
    """The calls that an account has left."""

    @property
    def calls_remaining(self) -> int | None:
        """Calls left today; None: unlimited."""
        ...


class CallPermits:
    """Permits the calls of each account; `limits` returns those of an account, by its name."""

    def __init__(
        self,
        limits: Callable[[str], AccountLimitsView],
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._limits = limits
        self._now = now
        self._sleep = sleep
        self._polls: Counter[str] = Counter()
        self._calls_per_day: Mapping[str, int] = {}

    def set_limits(self, calls_per_day: Mapping[str, int]) -> None:
        """Set the calls per day of each account; 0: unlimited."""
        self._calls_per_day = calls_per_day

    @contextmanager
    def polling(self, account: str) -> Iterator[None]:
        """While this context is entered, play data of the account is polled."""
        self._polls[account] += 1
        try:
            yield
        finally:
            self._polls[account] -= 1

    async def permit(self, account: str) -> None:
        """Return when the next call may be made; raises QuotaExceeded if the calls left are kept for polls."""
        self._check_quota(account)
        waited = 0.0
        while self._polls[account] > 0 and waited < COURTESY_SECONDS:
            await self._sleep(COURTESY_SECONDS / 10)
            waited += COURTESY_SECONDS / 10

    def _check_quota(self, account: str) -> None:
        """Raise QuotaExceeded if polls need the calls left, which are reserved in proportion to the rest of the day."""
        per_day, remaining = self._calls_per_day.get(account, 0), self._limits(account).calls_remaining
        if not per_day or remaining is None:
            return
        if remaining <= per_day * play_dates.rest_of_day(self._now()) * (1 - QUOTA_SHARE):
            raise QuotaExceeded(
                f"account {account}: the calls_per_day that are left are kept for play data",
                code="calls_per_day",
                kind=ErrorKind.OTHER,
                advice="Raise limits.calls_per_day of the account, or refresh searches and metadata less often.",
            )
