"""The state of polling: each query with its last and next poll, each account with its limits and errors."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from exporter.core.model import ByIds, Everything, Top
from exporter.errors import AccountPaused, CredentialsError, ErrorKind, QuotaExceeded
from exporter.status.expectations import expected_setting
from exporter.status.views import AccountView, ErrorCount, Failure, QueryView

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.core.model import Account, Media, Query
    from exporter.core.poll_report import PollReport
    from exporter.errors import UpstreamError
    from exporter.status.expectations import Expectations
    from exporter.status.expected_views import ExpectationView
    from exporter.status.model import MetricSample, StatusInput


class Numbers:
    """The exporter's own metrics, by name."""

    def __init__(self, numbers: Iterable[MetricSample]) -> None:
        self._by_name: defaultdict[str, list[MetricSample]] = defaultdict(list)
        for number in numbers:
            self._by_name[number.name].append(number)

    def of(self, name: str, **labels: str) -> Iterator[MetricSample]:
        """Yield the series of a metric that have these labels."""
        for number in self._by_name[name]:
            if labels.items() <= dict(number.labels).items():
                yield number

    def one(self, name: str, **labels: str) -> float | None:
        """Return the value of the only such series, or None if there is none."""
        return next((number.value for number in self.of(name, **labels)), None)

    def sum(self, name: str, **labels: str) -> int:
        """Return the sum of all such series of a counter."""
        return round(sum(number.value for number in self.of(name, **labels)))


def queries(observed: StatusInput, numbers: Numbers, expectations: Expectations) -> tuple[QueryView, ...]:
    """Return every query, in the order of the configuration."""
    reports = {report.query.name: report for report in observed.reports}
    return tuple(
        _query(
            query,
            reports.get(query.name),
            observed.next_polls.get(query.name),
            numbers,
            expectations.of_query(query),
        )
        for query in observed.queries
    )


def accounts(observed: StatusInput, numbers: Numbers) -> tuple[AccountView, ...]:
    """Return every account, in the order of the configuration."""
    return tuple(_account(account, observed.reports, numbers) for account in observed.accounts)


def _query(
    query: Query,
    report: PollReport | None,
    next_poll_at: float | None,
    numbers: Numbers,
    settled_days: tuple[ExpectationView, ...],
) -> QueryView:
    media, count, by = _media(query.media)
    media = "search" if query.search is not None else media
    polls = numbers.of("aliyun_vod_query_polls_total", query=query.name)
    return QueryView(
        name=query.name,
        account=query.account,
        every=query.every,
        media=media,
        media_count=count,
        media_by=by,
        dimensions=len(query.dimensions),
        days_ago=tuple(sorted(query.days_ago)),
        slices=len(query.dimensions) * len(query.days_ago),
        result=report.result.value if report else None,
        ended_at=report.ended_at if report else None,
        duration=report.ended_at - report.started_at if report else None,
        last_success_at=numbers.one("aliyun_vod_query_last_success_timestamp_seconds", query=query.name),
        next_poll_at=next_poll_at,
        polls={number.labels["result"]: round(number.value) for number in polls},
        expected=expected_setting([query]),
        settled_days=settled_days,
        failures=tuple(_failures(report)) if report else (),
    )


def _media(media: Media) -> tuple[str, int | None, str | None]:
    match media:
        case ByIds(ids):
            return "ids", len(ids), None
        case Top(n, by):
            return "top", n, by.value
        case Everything():
            return "all", None, None


def _failures(report: PollReport) -> Iterator[Failure]:
    by_code: defaultdict[str, list[UpstreamError]] = defaultdict(list)
    for error in report.errors:
        by_code[error.code].append(error)
    for code, errors in sorted(by_code.items(), key=lambda item: (-len(item[1]), item[0])):
        first = errors[0]
        yield Failure(code, first.kind.value, len(errors), first.message, first.advice, first.request_id)


def _account(account: Account, reports: Iterable[PollReport], numbers: Numbers) -> AccountView:
    label = account.name
    remaining = numbers.one("aliyun_vod_api_calls_remaining_today", account=label)
    by_code: Counter[tuple[str, str]] = Counter()
    for number in numbers.of("aliyun_vod_api_errors_total", account=label):
        by_code[number.labels["code"], number.labels["kind"]] += round(number.value)
    errors = (ErrorCount(code, kind, count) for (code, kind), count in by_code.items() if count > 0)
    return AccountView(
        name=account.name,
        state=_state([report for report in reports if report.query.account == account.name]),
        endpoint=account.endpoint,
        credentials=account.credentials,
        timeout=account.timeout,
        concurrency=account.concurrency,
        requests_per_second=account.requests_per_second,
        rate_limit=numbers.one("aliyun_vod_api_rate_limit_requests_per_second", account=label),
        calls_per_day=account.calls_per_day,
        calls_remaining=None if remaining is None else round(remaining),
        requests=numbers.sum("aliyun_vod_api_requests_total", account=label),
        retries=numbers.sum("aliyun_vod_api_retries_total", account=label),
        calls_saved=numbers.sum("aliyun_vod_api_calls_saved_total", account=label),
        errors=tuple(sorted(errors, key=lambda error: (-error.count, error.code))),
    )


def _state(reports: Iterable[PollReport]) -> str:
    """Return the state of an account by the errors of its last poll."""
    last = max(reports, key=lambda report: report.ended_at, default=None)
    errors = last.errors if last else ()
    for state, kind in (
        ("no_credentials", CredentialsError),
        ("paused", AccountPaused),
        ("budget_spent", QuotaExceeded),
    ):
        if any(isinstance(error, kind) for error in errors):
            return state
    return "refused" if any(error.kind is ErrorKind.AUTH for error in errors) else "ok"
