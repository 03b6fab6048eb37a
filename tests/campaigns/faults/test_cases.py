"""The matrix is generated, complete, and leaves out only impossible cases."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from exporter.vod.play_data import PLAY_DATA
from tests.campaigns.faults import codes
from tests.campaigns.faults.cases import (
    Moment,
    Selection,
    brief,
    every,
    faults,
    impossible,
    is_code,
    possible,
)
from tests.campaigns.faults.codes import ERRORS
from tests.campaigns.faults.fault import Family


def test_every_code_of_the_api_page_occurs_at_every_moment_for_every_selection() -> None:
    affected = {(case.fault.name, case.moment, case.selection) for case in brief()}

    assert set(PLAY_DATA.error_codes) <= set(ERRORS)
    assert affected >= set(product(ERRORS, Moment, Selection))


def test_every_fault_occurs_and_each_kind_of_fault_at_every_moment() -> None:
    brief_cases = list(brief())
    affected, can_be = (
        Counter(fault for fault, _ in {(case.fault, case.moment) for case in cases if not case.fault.large})
        for cases in (brief_cases, possible())
    )

    assert {case.fault for case in brief_cases} == set(faults())
    assert all(affected[fault] >= moments // 2 for fault, moments in can_be.items())
    for family in Family:
        assert {case.moment for case in brief_cases if case.fault.family is family} == set(Moment)


def test_a_false_response_occurs_wherever_it_can() -> None:
    found, can_be = (
        {str(case) for case in cases if case.fault.family is Family.LIE and not case.fault.large}
        for cases in (brief(), possible())
    )

    assert found == can_be


def test_there_are_thousands_of_distinct_cases() -> None:
    names = Counter(map(str, possible()))

    assert names.most_common(1)[0][1] == 1
    assert sum(1 for _ in brief()) >= 1000
    assert {str(case) for case in brief()} <= names.keys()


def test_few_cases_are_impossible_and_each_has_a_reason() -> None:
    cases = list(every())
    left_out = [case for case in cases if impossible(case)]

    assert len(cases) == len(faults()) * len(Moment) * len(Selection)
    assert len(left_out) < len(cases) / 20
    assert not any(is_code(case.fault) for case in left_out)
    assert {case.fault.family for case in possible()} == set(Family)


def test_expected_kinds_are_independent_of_the_exporter() -> None:
    assert {code: codes.expected(code)[0] for code in PLAY_DATA.error_codes} == {
        "Meter.ParamError": "parameter",
        "Meter.ServerInternalError": "server",
        "Meter.DataSourceQueryError": "server",
        "Meter.AuthError": "auth",
        "Meter.ReadyTsError": "not_ready",
    }
    with pytest.raises(StopIteration):
        codes.expected("Brand.New")
