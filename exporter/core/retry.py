"""Decides whether and when a poll is repeated before its next regular time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.poll_report import PollResult
from exporter.errors import AccountPaused, CredentialsError, ErrorKind, QuotaExceeded, RequestSkipped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.poll_report import PollReport
    from exporter.errors import UpstreamError

_DAY: Final = 86_400.0
# All repeated polls of an account together spend no more than this part of its calls_per_day: a query that always fails
# must not use up the calls of the others.
QUOTA_SHARE: Final = 0.1
# Errors for which a poll makes a single attempt.
_ONE_ATTEMPT: Final = frozenset({ErrorKind.PARAMETER, ErrorKind.AUTH, ErrorKind.CLOCK})


@dataclass(frozen=True, slots=True)
class Retry:
    """A poll is to be repeated, not before `not_before` (seconds since 1970)."""

    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class RetryRules:
    """Limits of repeated polls: the `pause` (seconds) after an authentication error, and the `attempts` of a call."""

    pause: float
    attempts: int

    def retry(self, report: PollReport, *, calls_per_day: float, queries: int) -> Retry | None:
        """When to repeat a poll; None if it waits for its next regular time.

        `calls_per_day` of its account (0: unlimited) are shared by this number of `queries`.
        """
        errors = report.errors
        if report.result is PollResult.SUCCESS or (report.result is PollResult.PARTIAL and not _may_recover(errors)):
            return None
        if any(isinstance(error, QuotaExceeded) for error in errors):
            # From the start of the poll: the day may have ended since.
            return Retry(play_dates.next_midnight(report.started_at))
        wait = max(map(self._pause, errors), default=0.0)
        if calls_per_day:
            wait = max(wait, self._calls(errors) * queries * _DAY / (calls_per_day * QUOTA_SHARE))
        return Retry(report.ended_at + wait if wait else 0.0)

    def _pause(self, error: UpstreamError) -> float:
        """Seconds until the account accepts a request with the same keys again."""
        if error.kind is not ErrorKind.AUTH or isinstance(error, CredentialsError):
            return 0.0
        return error.wait if isinstance(error, AccountPaused) and error.wait is not None else self.pause

    def _calls(self, errors: Iterable[UpstreamError]) -> int:
        """The calls that the failures cost at most, and will cost again; what was returned is not requested again."""
        return sum(
            1 if error.kind in _ONE_ATTEMPT else self.attempts
            for error in errors
            if not isinstance(error, RequestSkipped)
        )


def _may_recover(errors: Iterable[UpstreamError]) -> bool:
    """Whether a repeat may return more; it cannot for a wrong parameter, a day not computed or missing rows only."""
    return any(error.kind not in {ErrorKind.PARAMETER, ErrorKind.NOT_READY} for error in errors)
