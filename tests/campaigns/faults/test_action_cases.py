"""The matrix of the actions beside play data is complete, and each of its invariants can fail."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import pytest

from exporter.simulator.actions import ACTIONS, PLAY_DATA
from tests.campaigns.faults.action_cases import MOMENTS, PERMISSION, Action, ActionCase, brief, faults, possible
from tests.campaigns.faults.action_invariants import INVARIANTS
from tests.campaigns.faults.action_runner import run_cases
from tests.campaigns.faults.cases import Moment, Selection
from tests.campaigns.faults.fault import Family
from tests.campaigns.faults.invariants import MOST_MEMORY, findings
from tests.campaigns.faults.scrapes import Scrape

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.campaigns.faults.evidence import ActionEvidence

    Planted = Callable[[ActionEvidence], ActionEvidence]


def test_every_action_has_every_fault_at_every_moment() -> None:
    cases = list(possible())
    names = Counter(map(str, cases))

    assert {PLAY_DATA, *Action} == set(ACTIONS)
    assert names.most_common(1)[0][1] == 1
    assert len(cases) == sum(len(faults(action)) for action in Action) * len(MOMENTS)
    assert len(cases) >= 5_000
    for action in Action:
        assert {fault.family for fault in faults(action)} == set(Family)


def test_the_brief_part_has_every_fault_and_a_missing_permission_everywhere() -> None:
    cases = list(brief())
    every = {fault.name for action in Action for fault in faults(action) if fault.family is not Family.ANSWER}

    assert {str(case) for case in cases} <= {str(case) for case in possible()}
    assert {case.fault.name for case in cases} >= every
    assert {(case.action, case.moment) for case in cases if case.fault.name == PERMISSION} == set(
        product(Action, MOMENTS)
    )
    assert {(case.action, case.fault.name) for case in cases if case.fault.family is Family.LIE} == {
        (action, fault.name) for action in Action for fault in faults(action) if fault.family is Family.LIE
    }


@pytest.fixture(scope="module")
def refused() -> ActionEvidence:
    """The evidence of an action without permission."""
    (fault,) = [fault for fault in faults(Action.DETAILS) if fault.name == PERMISSION]
    found: list[ActionEvidence] = []
    case = ActionCase(fault, Moment.PAGE_1, Selection.ALL, Action.DETAILS)
    assert run_cases([case], found.append) == 0
    return found[0]


def _after(pattern: str, becomes: str) -> Planted:
    """Changes the scrape after the fault, wherever the pattern matches."""

    def planted(evidence: ActionEvidence) -> ActionEvidence:
        text = re.sub(pattern, becomes, evidence.after.text, flags=re.MULTILINE)
        assert text != evidence.after.text
        after = Scrape(evidence.after.at, text)
        return replace(evidence, after=after, counters=(evidence.counters[0], after))

    return planted


def _recovered(pattern: str, becomes: str) -> Planted:
    def planted(evidence: ActionEvidence) -> ActionEvidence:
        text = re.sub(pattern, becomes, evidence.recovered.text, flags=re.MULTILINE)
        assert text != evidence.recovered.text
        return replace(evidence, recovered=Scrape(evidence.recovered.at, text))

    return planted


PLANTED: dict[str, tuple[Planted, str]] = {
    "play data that waited": (lambda e: replace(e, play_data_waits=(0.5,)), "play_data_go_on"),
    "a poll that failed": (
        _after(r'^(aliyun_vod_query_polls_total\{.*query="q".*"failure"\}) .*$', r"\1 1"),
        "play_data_go_on",
    ),
    "play data of the poll before": (
        lambda e: replace(e, returned_before=dict.fromkeys(e.returned_before, 99)),
        "play_data_go_on",
    ),
    "a video never returned": (
        _after(r'^(aliyun_vod_media_plays\{.*days_ago="0".*\}) .*$', r"\1 66600666"),
        "only_returned_numbers",
    ),
    "found media that are lost": (
        _after(r"^(aliyun_vod_query_discovered_media\{.*\}) .*$", r"\1 0"),
        "found_media_stay",
    ),
    "metadata that are lost": (_after(r"^aliyun_vod_media_metadata_info.*\n", ""), "metadata_stay"),
    "categories that are lost": (_after(r"^aliyun_vod_category_info.*\n", ""), "metadata_stay"),
    "a player's zero": (
        _after(r"^(aliyun_vod_player_plays\{.*\}) .*$", r"\1 0"),
        "player_numbers_are_of_their_bucket",
    ),
    "another bucket": (
        _after(r"^(aliyun_vod_player_bucket_timestamp_seconds\{.*\}) .*$", r"\1 1711249800"),
        "player_numbers_are_of_their_bucket",
    ),
    "another action": (
        _after(r'(errors_total\{.*action=)"GetVideoInfos"', r'\1"SearchMedia"'),
        "counted_under_its_action",
    ),
    "calls without end": (lambda e: replace(e, affected=e.affected * 9), "calls_are_bounded"),
    "a line for each refusal": (lambda e: replace(e, events=e.events * 2), "a_missing_permission_is_reported_once"),
    "two lines on the page": (lambda e: replace(e, problems=e.problems * 2), "a_missing_permission_is_reported_once"),
    "a permission that seems given": (
        _after(r'^(aliyun_vod_api_action_permitted\{.*"GetVideoInfos"\}) 0', r"\1 1"),
        "a_missing_permission_is_reported_once",
    ),
    "a player that stays down": (_recovered(r"^(aliyun_vod_player_up\{.*\}) 1", r"\1 0"), "everything_recovers"),
    "a search that is not repeated": (
        _recovered(r"^(aliyun_vod_query_discovery_last_success_timestamp_seconds\{.*\}) .*$", r"\1 1711252810"),
        "everything_recovers",
    ),
    "a secret on the page": (lambda e: replace(e, problems=(e.secret,)), "nothing_breaks"),
    "megabytes": (lambda e: replace(e, peak=MOST_MEMORY + 1), "nothing_left_behind"),
    "a line that is none": (_after(r"\Z", "oops\n"), "no_broken_text"),
    "a half row": (_recovered(r"^aliyun_vod_media_viewers\{.*\n", ""), "no_half_poll"),
    "a day's row dropped": (_recovered(r'^aliyun_vod_media_\w+\{.*days_ago="1".*\n', ""), "recovers"),
    "another date": (
        _after(r'^(aliyun_vod_play_date_timestamp_seconds\{days_ago="1"\}) .*$', r"\1 86400"),
        "no_number_on_another_day",
    ),
}


def _violated(evidence: ActionEvidence) -> set[str]:
    return {name for name, finding in findings(evidence, INVARIANTS).items() if finding.wrong}


def test_the_real_exporter_violates_nothing(refused: ActionEvidence) -> None:
    assert _violated(refused) == set()


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str, refused: ActionEvidence) -> None:
    planted, violated = PLANTED[name]

    assert violated in _violated(planted(refused))


def test_every_invariant_has_a_planted_violation() -> None:
    assert {violated for _, violated in PLANTED.values()} == {each.__name__ for each in INVARIANTS}
