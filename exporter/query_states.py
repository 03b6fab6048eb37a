"""The polls of each query, counted and logged: the last report, the next time, and whether one has ended yet."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

import structlog

from exporter.core.model import merged_problems
from exporter.core.poll_report import PollResult
from exporter.errors import ErrorKind, NotReady, QuotaExceeded
from exporter.jobs import JobKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from exporter.core.model import Query
    from exporter.core.poll_report import PollReport
    from exporter.errors import UpstreamError
    from exporter.jobs import JobId

_log = structlog.get_logger()


class QueryMeter(Protocol):
    """Counts polls."""

    def poll_ended(self, account: str, query: str, result: str, *, seconds: float, ended_at: float, up: bool) -> None:
        """A poll ended at `ended_at` (seconds since 1970) after `seconds`."""
        ...

    def poll_skipped(self, account: str, query: str, *, overlapped: bool) -> None:
        """A due poll was skipped: the query is down, unless the poll only overlapped with the previous one."""
        ...

    def next_poll(self, account: str, query: str, at: float) -> None:
        """The next poll of a query starts at `at` (seconds since 1970)."""
        ...

    def invalid_values(self, account: str, field: str, times: int) -> None:
        """Responses had `times` invalid values of a field."""
        ...


class QueryStates:
    """Counts and logs polls, and keeps the last report and the next poll of each query; observes the schedule.

    `restored`: the queries with data that was restored from storage.
    """

    def __init__(self, meter: QueryMeter, queries: Sequence[Query], restored: Collection[str]) -> None:
        self._meter = meter
        self._queries = queries
        self._restored = restored
        self._reports: dict[str, PollReport] = {}
        self._next_polls: dict[str, float] = {}
        self._ready = False

    def reconfigure(self, queries: Sequence[Query], restored: Collection[str]) -> None:
        """Track these queries from now on, and discard the state of all others."""
        self.pending()  # updates `_ready`: an exporter that is ready stays ready when queries are added
        names = {query.name for query in queries}
        self._queries, self._restored = queries, restored
        self._reports = {name: report for name, report in self._reports.items() if name in names}
        self._next_polls = {name: at for name, at in self._next_polls.items() if name in names}

    def poll_ended(self, report: PollReport) -> None:
        """Count and log a poll; it is no longer pending once its report is added."""
        query, result = report.query, report.result
        if result is PollResult.SKIPPED:
            self._meter.poll_skipped(query.account, query.name, overlapped=False)
        else:
            seconds, up = report.ended_at - report.started_at, result is PollResult.SUCCESS
            self._meter.poll_ended(query.account, query.name, result, seconds=seconds, ended_at=report.ended_at, up=up)
        for outcome in report.outcomes:
            for problem in outcome.problems:
                self._meter.invalid_values(query.account, problem.field, problem.times)
        _log_report(report)

    def add(self, report: PollReport) -> None:
        """Keep the report of a poll whose data is published."""
        self._reports[report.query.name] = report

    def reports(self) -> tuple[PollReport, ...]:
        """The report of each query's last poll, in the order of the configuration."""
        return tuple(self._reports[query.name] for query in self._queries if query.name in self._reports)

    @property
    def next_polls(self) -> Mapping[str, float]:
        """When the next poll of each query starts, in seconds since 1970."""
        return dict(self._next_polls)

    def pending(self) -> Sequence[str]:
        """Names of queries that were neither polled nor restored yet; empty for good once it has been empty."""
        if self._ready:
            return []
        names = (query.name for query in self._queries)
        pending = [name for name in names if name not in self._reports and name not in self._restored]
        self._ready = not pending
        return pending

    def failed(self) -> tuple[Query, ...]:
        """The queries whose last poll did not fully succeed."""
        return tuple(report.query for report in self.reports() if report.result is not PollResult.SUCCESS)

    def auth_failed(self) -> frozenset[str]:
        """Names of the queries whose last poll failed authentication, or had no credentials or daily quota left."""
        return frozenset(
            report.query.name
            for report in self.reports()
            if any(error.kind is ErrorKind.AUTH or isinstance(error, QuotaExceeded) for error in report.errors)
        )

    def run_skipped(self, job: JobId, /) -> None:
        """Count and log a poll that was due while the previous one was still running; of a player, only log it."""
        if job.kind is JobKind.POLL:
            self._meter.poll_skipped(self._account(job.name), job.name, overlapped=True)
        if job.kind in {JobKind.POLL, JobKind.PLAYER}:
            event = "poll skipped" if job.kind is JobKind.POLL else "player poll skipped"
            _log.warning(
                event,
                query=job.name,
                reason="the previous poll has not ended",
                advice="Raise every of it, or request less: check-config prints how many calls it takes.",
            )

    def next_run(self, job: JobId, at: float, /) -> None:
        """Record that the next poll of a query starts at `at` (seconds since 1970)."""
        if job.kind is JobKind.POLL:
            self._next_polls[job.name] = at
            self._meter.next_poll(self._account(job.name), job.name, at)

    def _account(self, name: str) -> str:
        return next(query.account for query in self._queries if query.name == name)


def _log_report(report: PollReport) -> None:
    """Log one line for the poll and one for each error code in it."""
    by_code: dict[str, list[UpstreamError]] = defaultdict(list)
    for outcome in report.outcomes:
        for error in outcome.errors:
            by_code[error.code].append(error)
    for code, errors in by_code.items():
        first = errors[0]
        log = _log.info if isinstance(first, NotReady) else _log.warning
        log(
            "not ready yet" if isinstance(first, NotReady) else "API request failed",
            query=report.query.name,
            account=report.query.account,
            code=code,
            kind=first.kind.value,
            times=len(errors),
            request_id=first.request_id,
            error=first.message,
            advice=first.advice,
        )
    missing_rows = sum(outcome.short_by for outcome in report.outcomes)
    if missing_rows:
        _log.warning(
            "incomplete listing",
            query=report.query.name,
            account=report.query.account,
            rows=missing_rows,
            reason="the service counted more media than it listed; what it listed is published, and no other media"
            " gets a zero",
            advice="Usually temporary: rows move while they are read. If it persists, query {top: N, by: plays} with"
            " as many media as it lists, or media by their IDs.",
        )
    _log_problems(report)
    _log.info(
        "polled",
        query=report.query.name,
        result=report.result.value,
        slices=len(report.outcomes),
        seconds=round(report.ended_at - report.started_at, 3),
    )


def _log_problems(report: PollReport) -> None:
    """Log one line for all invalid values; never the values themselves."""
    problems = merged_problems(problem for outcome in report.outcomes for problem in outcome.problems)
    if problems:
        _log.warning(
            "invalid values",
            query=report.query.name,
            account=report.query.account,
            values=sum(problem.times for problem in problems),
            fields="; ".join(map(str, problems)),
            advice="Values that were left out are not published; all others are. If it persists, contact Alibaba"
            " Cloud support.",
        )
