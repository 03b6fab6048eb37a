from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from exporter.core.model import Measure, Top
from exporter.errors import AccountPaused, CredentialsError, ErrorKind, QuotaExceeded, UpstreamError
from exporter.status import queries
from exporter.status.expectations import Expectations
from exporter.status.views import ErrorCount, Failure
from tests.status.examples import (
    ACCOUNT,
    EVERYTHING,
    NOW,
    Number,
    by_ids,
    observed,
    report,
)

if TYPE_CHECKING:
    from exporter.status.model import StatusInput
    from exporter.status.views import QueryView


def error(code: str, *, of: type[UpstreamError] = UpstreamError) -> UpstreamError:
    return of("said no", code=code, kind=ErrorKind.AUTH, advice="ask", request_id="R1")


def views(status: StatusInput, numbers: queries.Numbers) -> tuple[QueryView, ...]:
    return queries.queries(status, numbers, Expectations(status))


def test_a_query_before_its_first_poll() -> None:
    (view,) = views(observed(), queries.Numbers(()))

    assert (view.name, view.account, view.every, view.slices, view.days_ago) == ("q", "main", 900, 5, (0, 1, 2, 8, 9))
    assert (view.result, view.ended_at, view.duration, view.last_success_at) == (None, None, None, None)
    assert view.next_poll_at == NOW + 600


def test_the_settings_of_a_query() -> None:
    top = replace(EVERYTHING, name="top", media=Top(10, Measure.PLAY_DURATION))
    found = views(observed(queries=(EVERYTHING, top, by_ids("a", "b"))), queries.Numbers(()))

    assert [(view.media, view.media_count, view.media_by) for view in found] == [
        ("all", None, None),
        ("top", 10, "play_duration"),
        ("ids", 2, None),
    ]


def test_the_result_of_a_query() -> None:
    numbers = queries.Numbers(
        (
            Number("aliyun_vod_query_polls_total", 3, {"query": "q", "result": "success"}),
            Number("aliyun_vod_query_polls_total", 1, {"query": "q", "result": "failure"}),
            Number("aliyun_vod_query_polls_total", 9, {"query": "other", "result": "failure"}),
            Number("aliyun_vod_query_last_success_timestamp_seconds", 12.5, {"query": "q"}),
        )
    )
    polled = report(EVERYTHING, error("B"), error("A"), error("A"))

    (view,) = views(observed(reports=[polled]), numbers)

    assert (view.result, view.ended_at, view.duration, view.last_success_at) == ("failure", NOW, 2, 12.5)
    assert view.polls == {"success": 3, "failure": 1}
    assert view.failures == (
        Failure("A", "auth", 2, "said no", "ask", "R1"),
        Failure("B", "auth", 1, "said no", "ask", "R1"),
    )


def test_an_account_shows_the_values_of_its_metrics() -> None:
    label = {"account": "main"}
    numbers = queries.Numbers(
        (
            Number("aliyun_vod_api_rate_limit_requests_per_second", 2.5, label),
            Number("aliyun_vod_api_calls_remaining_today", 7, label),
            Number("aliyun_vod_api_requests_total", 40, label),
            Number("aliyun_vod_api_requests_total", 99, {"account": "other"}),
            Number("aliyun_vod_api_retries_total", 4, label),
            Number("aliyun_vod_api_calls_saved_total", 10, {**label, "reason": "sweep"}),
            Number("aliyun_vod_api_calls_saved_total", 5, {**label, "reason": "settled"}),
            Number("aliyun_vod_api_errors_total", 1, {**label, "action": "One", "code": "A", "kind": "auth"}),
            Number("aliyun_vod_api_errors_total", 1, {**label, "action": "Another", "code": "A", "kind": "auth"}),
            Number("aliyun_vod_api_errors_total", 3, {**label, "code": "T", "kind": "throttled"}),
            Number("aliyun_vod_api_errors_total", 0, {**label, "code": "Z", "kind": "server"}),
        )
    )

    (view,) = queries.accounts(observed(accounts=[replace(ACCOUNT, calls_per_day=50)]), numbers)

    assert (view.rate_limit, view.requests_per_second, view.concurrency) == (2.5, 5.0, 4)
    assert (view.calls_remaining, view.calls_per_day) == (7, 50)
    assert (view.requests, view.retries, view.calls_saved) == (40, 4, 15)
    assert view.errors == (ErrorCount("T", "throttled", 3), ErrorCount("A", "auth", 2))
    assert (view.endpoint, view.credentials, view.state) == (ACCOUNT.endpoint, "key", "ok")


@pytest.mark.parametrize(
    ("kind", "state"),
    [(AccountPaused, "paused"), (QuotaExceeded, "budget_spent"), (CredentialsError, "no_credentials")],
)
def test_the_state_of_an_account_is_that_of_its_last_poll(kind: type[UpstreamError], state: str) -> None:
    other = replace(EVERYTHING, name="other")
    bad, good = report(EVERYTHING, error("x", of=kind), at=NOW), report(other, at=NOW - 60)

    def state_of(*reports: object) -> str:
        (view,) = queries.accounts(observed(reports=reports), queries.Numbers(()))  # type: ignore[arg-type]
        return view.state

    assert state_of(bad, good) == state
    assert state_of(bad, replace(good, ended_at=NOW + 60)) == "ok"
    assert state_of() == "ok"


def test_a_poll_whose_search_failed_shows_why() -> None:
    failed = replace(report(EVERYTHING), outcomes=(), search_error=error("Forbidden.RAM"))
    seen = observed(reports=[failed])

    (view,) = views(seen, queries.Numbers(()))
    (account,) = queries.accounts(seen, queries.Numbers(()))

    assert view.failures == (Failure("Forbidden.RAM", "auth", 1, "said no", "ask", "R1"),)
    assert account.state == "refused"


def test_an_account_with_an_authentication_error_is_refused_until_it_is_paused() -> None:
    (view,) = queries.accounts(observed(reports=[report(EVERYTHING, error("Forbidden.RAM"))]), queries.Numbers(()))

    assert view.state == "refused"
