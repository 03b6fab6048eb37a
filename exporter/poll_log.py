"""The log lines of a poll: one for its result, one for each error code, and one for invalid data."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from exporter.core.model import merged_problems
from exporter.errors import NotReady

if TYPE_CHECKING:
    from exporter.core.poll_report import PollReport
    from exporter.errors import UpstreamError

_log = structlog.get_logger()


def log_report(report: PollReport) -> None:
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
