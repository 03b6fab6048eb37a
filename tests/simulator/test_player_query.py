from __future__ import annotations

import pytest

from exporter.simulator.error_responses import ApiError
from exporter.simulator.parameters import format_time
from exporter.simulator.player_query import METRICS, parse_query
from tests.simulator.clients import NOON

DAY = 86_400
BASE = {
    "AppId": "app-1000000",
    "StartTime": format_time(NOON - 3600),
    "EndTime": format_time(NOON),
    "Interval": "5m",
    "TerminalType": "web",
    "Metrics": "Vv",
}


def span(days: float, interval: str, ago: float = 0) -> dict[str, str]:
    end = NOON - ago * DAY
    return {"StartTime": format_time(end - days * DAY), "EndTime": format_time(end), "Interval": interval}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        span(3, "5m"),
        span(7, "1h"),
        span(31, "1d"),
        span(1, "1d", ago=364),
        {"Metrics": ",".join(METRICS[:3])},
        {"Os": "MacOS#_#MacOs#_#Windows"},
        {"PageSize": "5000", "PageNumber": "2"},
        {"Language": "en", "Top": "3"},
    ],
)
def test_the_rules_of_the_service_are_kept(changes: dict[str, str]) -> None:
    assert parse_query({**BASE, **changes}, NOON).app_id == "app-1000000"


@pytest.mark.parametrize("name", BASE)
def test_required_parameters(name: str) -> None:
    with pytest.raises(ApiError) as raised:
        parse_query({**BASE, name: ""}, NOON)
    assert raised.value.code == "MissingParameter"
    assert name in raised.value.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (span(3.1, "5m"), "at most 3 days for 5m"),
        (span(7.1, "1h"), "at most 7 days for 1h"),
        (span(32, "1d"), "at most 31 days for 1d"),
        (span(0, "5m"), "EndTime must be after StartTime"),
        (span(1, "1d", ago=366), "within the last year"),
        ({"StartTime": "2026-03-18 00:00"}, "yyyy-MM-ddTHH:mm:ssZ"),
        ({"Interval": "10m"}, "Interval must be one of 5m 1h 1d"),
        ({"TerminalType": "native"}, "TerminalType must be one of mobile web"),
        ({"Metrics": "Vv,RealVv,Uv,FirstFrame"}, "Metrics must be 1 to 3"),
        ({"Metrics": "Vv,Vv"}, "Metrics must be 1 to 3"),
        ({"Metrics": "TotalPlayDuration"}, "Metrics must be 1 to 3"),
        ({"Os": "macOS"}, "Os must be of"),
        ({"TerminalType": "mobile", "Os": "Windows"}, "Os must be of Android iOS Harmony"),
        ({"PageSize": "5001"}, "PageSize must be from 1 to 5000"),
        ({"PageNumber": "0"}, "PageNumber must be an integer from 1"),
        ({"Top": "x"}, "Top must be an integer from 1"),
        ({"Filters": "["}, "Filters must be JSON"),
        ({"Filters": "[" * 100_000}, "Filters must be JSON"),
        ({"Filters": "{}"}, "Filters must be a JSON array of at most 3"),
        ({"Filters": "[1]"}, "Filters must have Field, Op and Value"),
        ({"Filters": '[{"Field":"Media","Op":"=","Value":"x"}]'}, "Filters of Media = are not known"),
    ],
)
def test_other_parameters_are_errors(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ApiError) as raised:
        parse_query({**BASE, **changes}, NOON)
    assert raised.value.code == "Meter.ParamError"
    assert message in raised.value.message
