"""Whether a poll that ended is worth repeating before its interval is over, and when at the earliest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.poller import PollResult
from exporter.errors import AccountPaused, CredentialsError, ErrorKind, QuotaExceeded, RequestSkipped

if TYPE_CHECKING:
    from exporter.core.poller import PollReport
    from exporter.errors import UpstreamError

_DAY: Final = 86_400.0
# Repeated polls of an account, all together, are spread so that they spend no more than this part of its calls_per_day:
# a query that fails for good must not keep others from theirs.
QUOTA_SHARE: Final = 0.1
# Kinds of errors that are not retried within a poll.
_ONE_ATTEMPT: Final = frozenset({ErrorKind.PARAMETER, ErrorKind.AUTH, ErrorKind.CLOCK})


@dataclass(frozen=True, slots=True)
class Retry:
    """A poll is to be repeated; before `not_before` (seconds since 1970) that would be useless or too expensive."""

    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class RetryRules:
    """What limits repeated polls: `pause` seconds after an authentication error, at most `attempts` per call."""

    pause: float
    attempts: int

    def retry(self, report: PollReport, *, calls_per_day: float, queries: int) -> Retry | None:
        """When to repeat a poll, None where the next regular one is soon enough.

        `calls_per_day` of its account (0: unlimited) are shared by so many `queries`.
        """
        errors = [error for outcome in report.outcomes for error in outcome.errors]
        if report.result is PollResult.SUCCESS or (report.result is PollResult.PARTIAL and not _may_recover(errors)):
            return None
        if any(isinstance(error, QuotaExceeded) for error in errors):
            # Counted from the beginning: the day may have ended since.
            return Retry(play_dates.next_midnight(report.started_at))
        wait = max(map(self._pause, errors), default=0.0)
        if calls_per_day:
            wait = max(wait, self._calls(errors) * queries * _DAY / (calls_per_day * QUOTA_SHARE))
        return Retry(report.ended_at + wait if wait else 0.0)

    def _pause(self, error: UpstreamError) -> float:
        """Seconds until a request with the same keys is let through again."""
        if error.kind is not ErrorKind.AUTH or isinstance(error, CredentialsError):
            return 0.0
        return error.wait if isinstance(error, AccountPaused) and error.wait is not None else self.pause

    def _calls(self, errors: list[UpstreamError]) -> int:
        """How many calls the failures cost at most, and will again; what was answered is not asked again."""
        return sum(
            1 if error.kind in _ONE_ATTEMPT else self.attempts
            for error in errors
            if not isinstance(error, RequestSkipped)
        )


def _may_recover(errors: list[UpstreamError]) -> bool:
    """Whether what is missing may be there soon; a wrong parameter stays wrong, and nothing may be wrong but rows."""
    return any(error.kind not in {ErrorKind.PARAMETER, ErrorKind.NOT_READY} for error in errors)
