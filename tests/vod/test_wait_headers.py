from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vod.wait_headers import LONGEST_WAIT, clock_offset, requested_wait

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
LATER = "Tue, 14 Nov 2023 22:14:00 GMT"  # 40 s later
LIMIT = "Limit:1,Remain:{remain},TimeLeft:{left},Reset:1234"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"x-acs-retry-after": "2500"}, 2.5),
        ({"x-acs-retry-after": " 2500 "}, 2.5),
        ({"x-ratelimit-user-api": LIMIT.format(remain=0, left=2000)}, 2.0),
        ({"x-ratelimit-user": LIMIT.format(remain=0, left=3000)}, 3.0),
        ({"x-ratelimit-user": " Limit: 1, Remain: 0, TimeLeft: 3000 "}, 3.0),
        ({"x-ratelimit-user": "TimeLeft:3000"}, 3.0),
        ({"x-ratelimit-user": LIMIT.format(remain=7, left=9000)}, None),
        (
            {
                "x-ratelimit-user-api": LIMIT.format(remain=0, left=2000),
                "x-ratelimit-user": LIMIT.format(remain=0, left=9000),
            },
            9.0,
        ),
        (
            {
                "x-ratelimit-user-api": LIMIT.format(remain=0, left=2000),
                "x-ratelimit-user": LIMIT.format(remain=7, left=9000),
            },
            2.0,
        ),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": LATER}, 40.0),
        ({"retry-after": LATER, "date": "Tue, 14 Nov 2023 22:13:50 GMT"}, 10.0),
        ({"x-acs-retry-after": "1000", "x-ratelimit-user": "TimeLeft:3000", "retry-after": "5"}, 1.0),
        ({"x-ratelimit-user": "TimeLeft:3000", "retry-after": "5"}, 3.0),
        ({"x-acs-retry-after": "soon", "retry-after": "5"}, 5.0),
        ({"x-acs-retry-after": "0", "retry-after": "5"}, 5.0),
        ({"x-acs-retry-after": "999999999"}, LONGEST_WAIT),
        ({"retry-after": "86400"}, LONGEST_WAIT),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Mon, 13 Nov 2023 22:13:20 GMT"}, None),
        ({"x-ratelimit-user": "TimeLeft"}, None),
        ({"x-ratelimit-user": ",:,::"}, None),
    ],
)
def test_named_wait(headers: dict[str, str], wait: float | None) -> None:
    assert requested_wait(headers, NOW) == wait


@given(st.dictionaries(st.sampled_from(["retry-after", "date", "x-acs-retry-after", "x-ratelimit-user"]), st.text()))
def test_hostile_headers_name_no_wait_or_a_bearable_one(headers: dict[str, str]) -> None:
    wait = requested_wait(headers, NOW)
    assert wait is None or 0 < wait <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("date", "offset"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 20.0),
        ("Tue, 14 Nov 2023 22:14:00 -0000", -40.0),
        ("Wed, 15 Nov 2023 06:13:20 +0800", 0.0),
        ("", None),
        ("yesterday", None),
        ("Tue, 99 Nov 2023 22:14:00 GMT", None),
    ],
)
def test_clock_offset(date: str, offset: float | None) -> None:
    assert clock_offset({"date": date}, NOW) == offset


def test_without_a_date_nothing_is_known_of_the_clock() -> None:
    assert clock_offset({}, NOW) is None


def test_a_date_without_a_zone_is_not_in_that_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert clock_offset({"date": "Tue, 14 Nov 2023 22:14:00 -0000"}, NOW) == -40
    finally:
        monkeypatch.undo()
        time.tzset()
