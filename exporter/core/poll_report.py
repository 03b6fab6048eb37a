"""How a poll ended: the outcome of each slice, and the result of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from exporter.errors import AccountPaused, NotReady, QuotaExceeded

if TYPE_CHECKING:
    from exporter.core.model import Query, RowProblem, Slice
    from exporter.errors import UpstreamError


class PollResult(StrEnum):
    """How a poll ended; the `result` label of `aliyun_vod_query_polls_total`."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class SliceOutcome:
    """The outcome of one slice in one poll.

    * `answered`: at least a part of what was needed was returned. `errors`: of the calls that failed.
    * `short_by`: rows that the service counted and did not return.
    * `problems`: what could not be used of the rows returned.
    """

    slice: Slice
    answered: bool
    errors: tuple[UpstreamError, ...] = ()
    short_by: int = 0
    problems: tuple[RowProblem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything needed was returned; "not ready" is a valid answer."""
        return self.answered and not self.short_by and all(isinstance(error, NotReady) for error in self.errors)


@dataclass(frozen=True, slots=True)
class PollReport:
    """One poll of one query; times are seconds since 1970.

    `search_error`: why the search for the media of the query failed; then the poll has no outcomes.
    """

    query: Query
    started_at: float
    ended_at: float
    outcomes: tuple[SliceOutcome, ...]
    result: PollResult
    search_error: UpstreamError | None = None

    @property
    def errors(self) -> tuple[UpstreamError, ...]:
        """The errors of all calls that failed."""
        if self.search_error is not None:
            return (self.search_error,)
        return tuple(error for outcome in self.outcomes for error in outcome.errors)


def poll_result(outcomes: tuple[SliceOutcome, ...]) -> PollResult:
    """`skipped` if no request was sent on purpose; `failure` if nothing was returned for any other reason."""
    if all(outcome.complete for outcome in outcomes):
        return PollResult.SUCCESS
    if any(outcome.answered for outcome in outcomes):
        return PollResult.PARTIAL
    errors = [error for outcome in outcomes for error in outcome.errors]
    on_purpose = all(isinstance(error, AccountPaused | QuotaExceeded) for error in errors)
    return PollResult.SKIPPED if on_purpose else PollResult.FAILURE
