from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import pytest

from exporter.commands.slice_results import SliceResult, SliceState, describe_results, results_by_slice
from exporter.core.model import Dimensions, Everything, PlayRow, Query, Slice
from exporter.core.poll_report import PollReport, PollResult, SliceOutcome
from exporter.core.publication import Publication, PublishedSlice
from exporter.errors import AccountPaused, ErrorKind, NotReady, UpstreamError

NOON = datetime.fromisoformat("2024-03-24T12:00:00+08:00").timestamp()
AFTER = 33 * 3600.0
QUERY = Query("q", "main", 900.0, Everything(), (Dimensions(),), (0, 1, 2))
TODAY, YESTERDAY, DAY_BEFORE = (Slice("main", Dimensions(), date(2024, 3, day)) for day in (24, 23, 22))
ANDROID = Slice("main", Dimensions("Native", "Android"), date(2024, 3, 23))
FORBIDDEN = UpstreamError("No rights.", code="Forbidden.RAM", kind=ErrorKind.AUTH, request_id="R-1", advice="Allow it.")
PAUSED = AccountPaused("account main is paused", code="Forbidden.RAM", kind=ErrorKind.AUTH, advice="Allow it.")
NOT_YET = NotReady("Get ReadyTs Failed.", code="Meter.ReadyTsError", kind=ErrorKind.NOT_READY, advice="Nothing to do.")


def report(*outcomes: SliceOutcome, query: Query = QUERY, result: PollResult = PollResult.PARTIAL) -> PollReport:
    return PollReport(query, NOON - 1, NOON, outcomes, result)


def published(*rows: tuple[Slice, PlayRow | None]) -> Publication:
    slices = tuple(PublishedSlice(slice_, 0, {"m": row}, 1, NOON, settled=False, ready=True) for slice_, row in rows)
    return Publication(slices, (), {}, 0, 0, 0.0, 0.0)


def lines_about(*reports: PollReport, published_data: Publication | None = None) -> list[str]:
    ended = results_by_slice(reports, published_data or published(), NOON)
    return list(describe_results(ended, reports, final_after=AFTER, now=NOON))


def test_a_failure_is_described_with_cause_advice_and_slices() -> None:
    assert lines_about(
        report(
            SliceOutcome(YESTERDAY, answered=False, errors=(PAUSED,)),
            SliceOutcome(ANDROID, answered=False, errors=(PAUSED, FORBIDDEN)),
        )
    ) == [
        "Failed, 2 of 2 slices: Forbidden.RAM: No rights (request ID R-1). Allow it.",
        "  main 2024-03-23",
        "  main 2024-03-23 Native Android",
    ]


@pytest.mark.parametrize(
    ("slice_", "again"),
    [
        (TODAY, "Try again in some minutes or hours; by 2024-03-25 09:00 UTC+8 it should be."),
        (YESTERDAY, "It should be by now: try again in an hour."),
    ],
)
def test_a_day_not_computed_yet_is_described_with_its_final_time(slice_: Slice, again: str) -> None:
    assert lines_about(report(SliceOutcome(slice_, answered=True, errors=(NOT_YET,)), result=PollResult.SUCCESS)) == [
        f"Not computed yet, 1 of 1 slice: Meter.ReadyTsError: Get ReadyTs Failed. Nothing to do. {again}",
        f"  main {slice_.play_date}",
    ]


@pytest.mark.parametrize("row", [None, PlayRow("m", plays=0)])
def test_an_answer_without_plays_is_no_failure(row: PlayRow | None) -> None:
    assert lines_about(report(SliceOutcome(TODAY, answered=True)), published_data=published((TODAY, row))) == [
        "No plays, 1 of 1 slice: the service responded, and counted no plays of the requested media.",
        "  main 2024-03-24",
    ]


def test_slices_with_rows_are_not_described() -> None:
    row = PlayRow("m", plays=1)

    assert lines_about(report(SliceOutcome(TODAY, answered=True)), published_data=published((TODAY, row))) == []


@pytest.mark.parametrize(
    ("outcome", "lines"),
    [
        (SliceOutcome(DAY_BEFORE, answered=True), []),
        (
            SliceOutcome(DAY_BEFORE, answered=False, errors=(FORBIDDEN,)),
            ["Failed, 1 of 2 slices: Forbidden.RAM: No rights (request ID R-1). Allow it.", "  main 2024-03-22"],
        ),
    ],
)
def test_failed_days_that_only_expected_plays_need_are_described(outcome: SliceOutcome, lines: list[str]) -> None:
    query = replace(QUERY, days_ago=(1,), expected=True)
    published_data = published((YESTERDAY, PlayRow("m", plays=1)))

    assert (
        lines_about(report(SliceOutcome(YESTERDAY, answered=True), outcome, query=query), published_data=published_data)
        == lines
    )


def test_each_outcome_of_a_mixed_poll_and_missing_rows_are_described() -> None:
    published_data = published((YESTERDAY, PlayRow("m", plays=1)))
    lines = lines_about(
        report(
            SliceOutcome(TODAY, answered=True, errors=(NOT_YET,)),
            SliceOutcome(YESTERDAY, answered=True, short_by=2),
            SliceOutcome(ANDROID, answered=False, errors=(FORBIDDEN,)),
        ),
        published_data=published_data,
    )

    assert [line.partition(",")[0] for line in lines if line[0] != " "] == ["Not computed yet", "Incomplete", "Failed"]
    assert "Incomplete, 1 of 3 slices: The service counted 2 media more than it listed. Try again." in lines


def test_of_two_queries_one_may_have_got_its_answer() -> None:
    other = replace(QUERY, name="other")
    reports = (
        report(SliceOutcome(TODAY, answered=True)),
        report(SliceOutcome(TODAY, answered=False, errors=(FORBIDDEN,)), query=other),
    )

    assert results_by_slice(reports, published(), NOON) == (
        SliceResult(TODAY, 0, SliceState.INCOMPLETE, (FORBIDDEN,), 0),
    )


def test_a_long_list_is_shortened_and_a_poll_without_outcome_is_described() -> None:
    many = [Slice("main", Dimensions(), date(2024, 3, day)) for day in range(1, 24)]
    lines = lines_about(
        report(*(SliceOutcome(slice_, answered=False, errors=(FORBIDDEN,)) for slice_ in many)),
        report(query=replace(QUERY, name="slow"), result=PollResult.FAILURE),
    )

    assert lines[0] == "Failed: query slow timed out."
    assert lines[1].startswith("Failed, 23 of 23 slices: ")
    assert len(lines) == 13
    assert lines[-1] == "  and 13 more"


def test_a_program_reads_the_state_and_the_errors() -> None:
    (ending,) = results_by_slice(
        [report(SliceOutcome(ANDROID, answered=False, errors=(FORBIDDEN,)))], published(), NOON
    )

    assert ending.document() == {
        "account": "main",
        "play_date": "2024-03-23",
        "days_ago": 1,
        "terminal_type": "Native",
        "os": "Android",
        "region": "all",
        "state": "failed",
        "missing_rows": 0,
        "errors": [
            {
                "code": "Forbidden.RAM",
                "kind": "auth",
                "message": "No rights.",
                "advice": "Allow it.",
                "request_id": "R-1",
            }
        ],
    }
