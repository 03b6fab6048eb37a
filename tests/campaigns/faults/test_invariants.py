"""Every invariant can fail: planted violations are found."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.campaigns.faults.case_runner import run_cases
from tests.campaigns.faults.cases import Case, Moment, Selection, faults
from tests.campaigns.faults.invariants import INVARIANTS, MOST_MEMORY, findings
from tests.campaigns.faults.leak_watch import watched
from tests.campaigns.faults.oracle import Call
from tests.campaigns.faults.scrapes import Scrape

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.campaigns.faults.evidence import Evidence

    Planted = Callable[[Evidence], Evidence]

_FAULTS = {fault.name: fault for fault in faults()}


def _left_by(name: str, selection: Selection = Selection.TOP, moment: Moment = Moment.LATER_POLL) -> Evidence:
    """The unmodified evidence of a case."""
    found: list[Evidence] = []
    assert run_cases([Case(_FAULTS[name], moment, selection)], found.append) == 0
    return found[0]


@pytest.fixture(scope="module")
def refused() -> Evidence:
    """The evidence of an error response."""
    return _left_by("Meter.ServerInternalError")


def _violated(evidence: Evidence) -> set[str]:
    return {name for name, finding in findings(evidence).items() if finding.wrong}


def _after(change: Callable[[str], str]) -> Planted:
    """Changes the text of the scrape after the fault."""

    def planted(evidence: Evidence) -> Evidence:
        text = change(evidence.after.text)
        assert text != evidence.after.text
        after = Scrape(evidence.after.at, text)
        return replace(evidence, after=after, counters=(evidence.counters[0], after))

    return planted


def _recovered(change: Callable[[str], str]) -> Planted:
    def planted(evidence: Evidence) -> Evidence:
        text = change(evidence.recovered.text)
        assert text != evidence.recovered.text
        return replace(evidence, recovered=Scrape(evidence.recovered.at, text))

    return planted


def _sub(pattern: str, becomes: str, times: int = 1) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, becomes, text, count=times, flags=re.MULTILINE)


def _swap_days(text: str) -> str:
    return text.replace('days_ago="0"', "X").replace('days_ago="1"', 'days_ago="0"').replace("X", 'days_ago="1"')


PLAYS = r"^(aliyun_vod_media_plays\{.*\}) .*$"
YESTERDAY = r'^aliyun_vod_media_\w+\{.*days_ago="1".*\n'

PLANTED: dict[str, tuple[Planted, set[str]]] = {
    "a number never returned": (
        _after(_sub(PLAYS, r"\1 66600666")),
        {"only_returned_numbers", "no_number_on_another_day", "no_half_poll", "nothing_lost"},
    ),
    "a total never returned": (
        _recovered(_sub(r"^(aliyun_vod_slice_media\{.*\}) .*$", r"\1 7777")),
        {"only_returned_numbers"},
    ),
    "a title never returned": (_recovered(_sub(r'title="', 'title="not ')), {"only_returned_numbers"}),
    "a zero never returned": (
        _recovered(_sub(PLAYS, r"\1 0")),
        {"only_returned_numbers", "no_number_on_another_day", "no_half_poll", "recovers"},
    ),
    "today's numbers for yesterday's": (
        _recovered(_swap_days),
        {"no_number_on_another_day", "no_half_poll", "recovers", "only_returned_numbers"},
    ),
    "a date that is not that of its day": (
        _after(_sub(r'^(aliyun_vod_play_date_timestamp_seconds\{days_ago="1"\}) .*$', r"\1 86400")),
        {"no_number_on_another_day"},
    ),
    "a day not configured": (
        _after(_sub(r"^aliyun_vod_slice_ready\{.*\n", 'aliyun_vod_slice_ready{days_ago="7"} 1\n')),
        {"no_number_on_another_day"},
    ),
    "a field of the poll before": (
        _recovered(_sub(r"^aliyun_vod_media_viewers\{.*\n", "")),
        {"no_half_poll", "no_number_on_another_day", "recovers"},
    ),
    "a day dropped": (_after(_sub(YESTERDAY, "", 0)), {"nothing_lost"}),
    "a day dropped for good": (_recovered(_sub(YESTERDAY, "", 0)), {"recovers"}),
    "a series twice": (_after(_sub(PLAYS, r"\g<0>\n\g<0>")), {"no_broken_text"}),
    "NaN": (
        _after(_sub(r"^(aliyun_vod_query_poll_duration_seconds\{.*\}) .*$", r"\1 NaN")),
        {"no_broken_text"},
    ),
    "a line that is none": (_after(lambda text: text + "oops\n"), {"no_broken_text"}),
    "a slice called new by a refusal": (
        _after(_sub(r"^(aliyun_vod_slice_updated_timestamp_seconds\{.*\}) .*$", r"\1 1711252810")),
        {"nothing_lost"},
    ),
    "another code": (
        _after(_sub(r'code="Meter.ServerInternalError"', 'code="Meter.DataSourceQueryError2"')),
        {"counted_under_its_code"},
    ),
    "another kind": (
        _after(_sub(r'(code="Meter.ServerInternalError",kind=)"server"', r'\1"other"')),
        {"counted_under_its_code"},
    ),
    "nothing counted": (
        _after(_sub(r"^(aliyun_vod_api_errors_total\{.*ServerInternalError.*\}) .*$", r"\1 0")),
        {"counted_under_its_code"},
    ),
    "a fault that never was": (lambda evidence: replace(evidence, affected=()), {"counted_under_its_code"}),
    "a call too often": (
        lambda evidence: replace(evidence, affected=(*evidence.affected, evidence.affected[0])),
        {"calls_are_bounded"},
    ),
    "a redirect followed": (
        lambda evidence: replace(evidence, received=(*evidence.received[1:], Call("/elsewhere"))),
        {"calls_are_bounded"},
    ),
    "a wait of an hour": (lambda evidence: replace(evidence, waits=(3600.0,)), {"calls_are_bounded"}),
    "calls without end": (
        lambda evidence: replace(evidence, received=evidence.received * 1000),
        {"calls_are_bounded", "counted_under_its_code"},
    ),
    "up all the same": (
        _after(_sub(r'^(aliyun_vod_query_up\{account="main",query="q"\}) .*$', r"\1 1")),
        {"query_state_is_right"},
    ),
    "a poll that counts as a success": (
        _after(
            lambda text: _sub(r'^(aliyun_vod_query_polls_total\{.*"failure"\}) .*$', r"\1 0")(
                _sub(r'^(aliyun_vod_query_polls_total\{.*"success"\}) .*$', r"\1 2")(text)
            )
        ),
        {"query_state_is_right"},
    ),
    "not up again": (
        _recovered(_sub(r'^(aliyun_vod_query_up\{account="main",query="q"\}) .*$', r"\1 0")),
        {"recovers"},
    ),
    "a video not requested": (
        lambda evidence: replace(evidence, wanted=frozenset(list(evidence.wanted)[1:])),
        {"recovers"},
    ),
    "a task": (lambda evidence: replace(evidence, tasks=("a poll",)), {"nothing_left_behind"}),
    "a socket": (lambda evidence: replace(evidence, descriptors=("9 socket:[1]",)), {"nothing_left_behind"}),
    "megabytes": (lambda evidence: replace(evidence, peak=MOST_MEMORY + 1), {"nothing_left_behind"}),
    "an exception": (lambda evidence: replace(evidence, breaks=("Traceback",)), {"nothing_breaks"}),
    "a secret in the log": (
        lambda evidence: replace(evidence, events=({"event": "x", "error": evidence.secret},)),
        {"nothing_breaks"},
    ),
    "a secret on the page": (
        lambda evidence: _after(_sub(r"^# HELP", f"# {evidence.secret}"))(evidence),
        {"nothing_breaks"},
    ),
    "a failure without advice": (
        lambda evidence: replace(evidence, events=({"event": "API request failed", "code": "x"},)),
        {"nothing_breaks"},
    ),
}


def test_the_real_exporter_violates_nothing(refused: Evidence) -> None:
    assert _violated(refused) == set()


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str, refused: Evidence) -> None:
    planted, violated = PLANTED[name]

    assert _violated(planted(refused)) == violated


def test_every_invariant_has_a_planted_violation() -> None:
    assert set().union(*(violated for _, violated in PLANTED.values())) == {each.__name__ for each in INVARIANTS}


def test_a_day_that_is_ready_against_the_response_is_found() -> None:
    evidence = _left_by("Meter.ReadyTsError")

    assert _violated(evidence) == set()
    assert _violated(_after(_sub(r"^(aliyun_vod_slice_ready\{.*\}) 0", r"\1 1"))(evidence)) == {"query_state_is_right"}


def test_too_few_attempts_are_found() -> None:
    evidence = _left_by("Throttling.User")

    half = replace(evidence, affected=tuple(dict.fromkeys(evidence.affected)))
    assert _violated(half) >= {"calls_are_bounded"}


async def test_a_leaked_task_and_socket_are_found() -> None:
    with watched() as watch:
        assert watch.left() == ((), ())
        task = asyncio.create_task(asyncio.Event().wait(), name="leaked")
        with socket.socket():
            tasks, descriptors = watch.left()
        task.cancel()
        await asyncio.wait({task})

    assert "leaked" in tasks[0]
    assert "socket" in descriptors[0]
    assert watch.left() == ((), ())


async def test_errors_of_asyncio_are_recorded() -> None:
    with watched() as watch:
        asyncio.get_running_loop().call_exception_handler({"message": "Task exception was never retrieved"})

    assert "never retrieved" in watch.breaks[0]
