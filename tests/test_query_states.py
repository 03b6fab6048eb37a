from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from exporter.core.model import RowProblem, Slice
from exporter.core.poll_report import PollReport, PollResult, SliceOutcome
from exporter.errors import ErrorKind, QuotaExceeded, UpstreamError
from exporter.jobs import JobId, JobKind, poll_id
from exporter.query_states import QueryStates
from tests.core.fake_service import ALL, NOON, YESTERDAY, everything, failure, query

A, B = query(everything, "a"), query(everything, "b")
SLICE: Final = Slice("main", ALL, YESTERDAY)


@dataclass
class Meter:
    """Records what is counted."""

    counted: list[tuple[Any, ...]] = field(default_factory=list)

    def poll_ended(self, account: str, query: str, result: str, *, seconds: float, ended_at: float, up: bool) -> None:
        self.counted.append((account, query, result, seconds, ended_at, up))

    def poll_skipped(self, account: str, query: str, *, overlapped: bool) -> None:
        self.counted.append((account, query, "skipped", overlapped))

    def next_poll(self, account: str, query: str, at: float) -> None:
        self.counted.append((account, query, "next", at))

    def invalid_values(self, account: str, field: str, times: int) -> None:
        self.counted.append((account, field, times))


def report(of: Any = A, result: PollResult = PollResult.SUCCESS, *errors: UpstreamError) -> PollReport:
    outcome = SliceOutcome(SLICE, errors=errors, answered=not errors)
    return PollReport(of, NOON - 5, NOON, (outcome,), result)


def states(*restored: str) -> tuple[QueryStates, Meter]:
    meter = Meter()
    return QueryStates(meter, (A, B), restored), meter


def test_queries_are_pending_until_they_are_restored_or_the_data_of_their_first_poll_is_published() -> None:
    made, _ = states("b")
    assert made.pending() == ["a"]
    made.poll_ended(report())
    assert made.pending() == ["a"]
    made.add(report(A, PollResult.FAILURE))
    assert made.pending() == []


def test_what_was_ready_stays_ready_when_queries_are_added() -> None:
    made, _ = states("a", "b")
    made.reconfigure((A, B, query(everything, "new")), ())
    assert made.pending() == []


def test_what_is_not_ready_waits_for_the_queries_of_the_new_configuration() -> None:
    made, _ = states("a")
    made.reconfigure((A, query(everything, "new")), ("a",))
    assert made.pending() == ["new"]


def test_removed_queries_are_forgotten_and_reports_are_in_the_order_of_the_configuration() -> None:
    made, _ = states()
    for each in (B, A):
        made.add(report(each))
        made.next_run(poll_id(each.name), NOON + 900)
    assert [each.query.name for each in made.reports()] == ["a", "b"]
    made.reconfigure((B,), ())
    assert [each.query.name for each in made.reports()] == ["b"]
    assert made.next_polls == {"b": NOON + 900}


def test_polls_are_counted_with_their_invalid_values() -> None:
    made, meter = states()
    outcome = SliceOutcome(SLICE, answered=True, problems=(RowProblem("DAU", "negative", "m1", 2),))
    made.poll_ended(PollReport(A, NOON - 5, NOON, (outcome,), PollResult.PARTIAL))
    made.poll_ended(report(B, PollResult.SKIPPED))
    assert meter.counted == [
        ("main", "a", "partial", 5, NOON, False),
        ("main", "DAU", 2),
        ("main", "b", "skipped", False),
    ]


def test_a_poll_that_was_due_during_the_last_one_is_counted_and_logged_one_of_a_player_logged() -> None:
    made, meter = states()
    with capture_logs() as logged:
        for kind in JobKind:
            made.run_skipped(JobId(kind, "a"))
            made.next_run(JobId(kind, "a"), NOON)
    assert meter.counted == [("main", "a", "skipped", True), ("main", "a", "next", NOON)]
    assert [(line["event"], line["query"]) for line in logged] == [("poll skipped", "a"), ("player poll skipped", "a")]
    assert all("every" in line["advice"] for line in logged)


@pytest.mark.parametrize(
    ("error", "is_about_keys_or_quota"),
    [
        (failure(ErrorKind.AUTH, "InvalidAccessKeyId.NotFound"), True),
        (QuotaExceeded("spent", code="calls_per_day", kind=ErrorKind.OTHER), True),
        (failure(ErrorKind.SERVER), False),
    ],
)
def test_failed_polls_and_those_that_another_key_may_help(
    error: UpstreamError, *, is_about_keys_or_quota: bool
) -> None:
    made, _ = states()
    made.add(report(A, PollResult.FAILURE, error))
    made.add(report(B))
    assert made.failed() == (A,)
    assert made.auth_failed() == (frozenset({"a"}) if is_about_keys_or_quota else frozenset())
