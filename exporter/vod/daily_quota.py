"""How many calls an account may make on a day of UTC+8, and how many it has made."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from exporter.core import play_dates
from exporter.errors import ErrorKind, QuotaExceeded

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

_DAYS_KEPT: Final = 9


class QuotaStore(Protocol):
    """Stores the calls of a day across restarts."""

    def calls_spent(self, account: str, day: date) -> int:
        """How many calls were made that day (of UTC+8) before the start."""
        ...

    def record_calls(self, account: str, day: date, calls: int) -> None:
        """Record the number of calls made on that day so far; must not block."""
        ...


class CallsInMemory:
    """Counts calls beyond the limits of their account, which may be removed and added again on the same day."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[date, int]] = {}

    def calls_spent(self, account: str, day: date) -> int:
        """How many calls were made that day, if it is the last one with calls."""
        last, calls = self._last.get(account, (day, 0))
        return calls if last == day else 0

    def record_calls(self, account: str, day: date, calls: int) -> None:
        """Record the number of calls made on that day so far."""
        self._last[account] = day, calls


class DailyQuota:
    """Limits the calls per day of UTC+8; 0 is unlimited. Without a store, counting starts again at a restart."""

    def __init__(
        self, account: str, calls_per_day: int, *, now: Callable[[], float], quota_store: QuotaStore | None = None
    ) -> None:
        self._account = account
        self.calls_per_day = calls_per_day
        self._now = now
        self._quota_store = quota_store
        # By day, of a few days: a clock that was set to another day may be set back.
        self._spent: dict[date, int] = {}

    @property
    def remaining(self) -> int | None:
        """Calls left today; None: unlimited."""
        if not self.calls_per_day:
            return None
        return max(0, self.calls_per_day - self._spent[self._today()])

    def change(self, calls_per_day: int) -> None:
        """Change the number of calls per day; calls already made today still count."""
        self.calls_per_day = calls_per_day

    def check(self) -> None:
        """Raise QuotaExceeded if no calls are left today."""
        if self.remaining == 0:
            tomorrow = self._today() + timedelta(days=1)
            raise QuotaExceeded(
                f"account {self._account}: calls_per_day ({self.calls_per_day}) is used up; "
                f"polling continues at {tomorrow} 00:00 UTC+8",
                code="calls_per_day",
                kind=ErrorKind.OTHER,
                advice="Raise limits.calls_per_day of the account, or poll less often or fewer dimensions and days.",
            )

    def spend(self) -> None:
        """Count one call, or raise QuotaExceeded."""
        self.check()
        today = self._today()
        self._spent[today] += 1
        if self._quota_store:
            self._quota_store.record_calls(self._account, today, self._spent[today])

    def _today(self) -> date:
        """The present day, whose calls are among those that are kept."""
        today = play_dates.today(self._now())
        if today not in self._spent:
            self._spent[today] = self._quota_store.calls_spent(self._account, today) if self._quota_store else 0
            while len(self._spent) > _DAYS_KEPT:
                del self._spent[next(iter(self._spent))]
        return today
