from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.errors import ErrorKind
from exporter.exposition.self_metrics import MOST_CODES
from exporter.exposition.telemetry import Telemetry
from tests.exposition.examples import (
    ACTION,
    CALLS,
    METER_CODES,
    full_telemetry,
    new_telemetry,
    read_openmetrics,
    read_text,
    series,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def ours(telemetry: Telemetry, *, about: str = "aliyun_vod_") -> list[str]:
    lines = telemetry.families.expose("text", generate_latest).text().decode().split("\n")
    return [line for line in lines if line.startswith(about)]


AT_THE_START = f"""\
aliyun_vod_api_requests_total{{account="main",action="Ask"}} 0.0
aliyun_vod_api_errors_total{{account="main",action="Ask",code="Meter.ParamError",kind="parameter"}} 0.0
aliyun_vod_api_errors_total{{account="main",action="Ask",code="Meter.ServerInternalError",kind="server"}} 0.0
aliyun_vod_api_errors_total{{account="main",action="Ask",code="Meter.DataSourceQueryError",kind="server"}} 0.0
aliyun_vod_api_errors_total{{account="main",action="Ask",code="Meter.AuthError",kind="auth"}} 0.0
aliyun_vod_api_errors_total{{account="main",action="Ask",code="Meter.ReadyTsError",kind="not_ready"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="0.025"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="0.05"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="0.1"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="0.25"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="0.5"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="1.0"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="2.5"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="5.0"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="10.0"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="30.0"}} 0.0
aliyun_vod_api_request_duration_seconds_bucket{{account="main",action="Ask",le="+Inf"}} 0.0
aliyun_vod_api_request_duration_seconds_count{{account="main",action="Ask"}} 0.0
aliyun_vod_api_request_duration_seconds_sum{{account="main",action="Ask"}} 0.0
aliyun_vod_api_retries_total{{account="main",action="Ask"}} 0.0
aliyun_vod_api_calls_saved_total{{account="main",reason="shared"}} 0.0
aliyun_vod_api_calls_saved_total{{account="main",reason="sweep"}} 0.0
aliyun_vod_api_calls_saved_total{{account="main",reason="settled"}} 0.0
aliyun_vod_api_invalid_values_total{{account="main",field="MediaId"}} 0.0
aliyun_vod_api_invalid_values_total{{account="main",field="VideoTitle"}} 0.0
aliyun_vod_api_invalid_values_total{{account="main",field="VideoDuration"}} 0.0
aliyun_vod_api_invalid_values_total{{account="main",field="DAU"}} 0.0
aliyun_vod_api_invalid_values_total{{account="main",field="PlaySuccessVv"}} 0.0
aliyun_vod_api_invalid_values_total{{account="main",field="PlayPerVv"}} 0.0
aliyun_vod_api_invalid_values_total{{account="main",field="PlayDuration"}} 0.0
aliyun_vod_api_invalid_values_total{{account="main",field="PlayDurationPerUv"}} 0.0
aliyun_vod_query_up{{account="main",query="headline"}} 0.0
aliyun_vod_query_polls_total{{account="main",query="headline",result="success"}} 0.0
aliyun_vod_query_polls_total{{account="main",query="headline",result="partial"}} 0.0
aliyun_vod_query_polls_total{{account="main",query="headline",result="failure"}} 0.0
aliyun_vod_query_polls_total{{account="main",query="headline",result="skipped"}} 0.0
aliyun_vod_exporter_series 0.0
aliyun_vod_exporter_series_dropped 0.0
aliyun_vod_exporter_storage_errors_total 0.0
aliyun_vod_exporter_config_last_reload_successful 0.0
aliyun_vod_exporter_config_last_reload_success_timestamp_seconds 0.0
aliyun_vod_exporter_build_info{{python_version="{platform.python_version()}",version="1.2.3"}} 1.0
aliyun_vod_exporter_log_lines_dropped_total 0.0
"""


def test_series_that_are_known_in_advance_exist_from_the_start() -> None:
    assert ours(new_telemetry()) == AT_THE_START.splitlines()


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (lambda t: t.request_sent("main", ACTION), 'aliyun_vod_api_requests_total{account="main",action="Ask"} 1.0'),
        (
            lambda t: t.request_failed("main", ACTION, "Meter.AuthError", ErrorKind.AUTH),
            'aliyun_vod_api_errors_total{account="main",action="Ask",code="Meter.AuthError",kind="auth"} 1.0',
        ),
        (
            lambda t: t.request_failed("main", ACTION, "timeout", ErrorKind.TRANSPORT),
            'aliyun_vod_api_errors_total{account="main",action="Ask",code="timeout",kind="transport"} 1.0',
        ),
        (
            lambda t: t.request_took("main", ACTION, 0.03),
            'aliyun_vod_api_request_duration_seconds_bucket{account="main",action="Ask",le="0.05"} 1.0',
        ),
        (
            lambda t: t.request_took("main", ACTION, 12.5),
            'aliyun_vod_api_request_duration_seconds_sum{account="main",action="Ask"} 12.5',
        ),
        (lambda t: t.retried("main", ACTION), 'aliyun_vod_api_retries_total{account="main",action="Ask"} 1.0'),
        (
            lambda t: t.rate_changed("main", 2.5),
            'aliyun_vod_api_rate_limit_requests_per_second{account="main"} 2.5',
        ),
        (lambda t: t.calls_remaining("main", 7), 'aliyun_vod_api_calls_remaining_today{account="main"} 7.0'),
        (
            lambda t: t.invalid_values("main", "PlaySuccessVv", 3),
            'aliyun_vod_api_invalid_values_total{account="main",field="PlaySuccessVv"} 3.0',
        ),
        (
            lambda t: t.calls_saved("main", "shared", 99),
            'aliyun_vod_api_calls_saved_total{account="main",reason="shared"} 99.0',
        ),
        (
            lambda t: t.unknown_media("main", "headline", 3),
            'aliyun_vod_query_unknown_media{account="main",query="headline"} 3.0',
        ),
        (
            lambda t: t.next_poll("main", "headline", 12.0),
            'aliyun_vod_query_next_poll_timestamp_seconds{account="main",query="headline"} 12.0',
        ),
        (lambda t: t.published(5, 2), "aliyun_vod_exporter_series 5.0"),
        (lambda t: t.published(5, 2), "aliyun_vod_exporter_series_dropped 2.0"),
        (lambda t: t.storage_failed(), "aliyun_vod_exporter_storage_errors_total 1.0"),
    ],
)
def test_each_report_changes_its_series(report: Callable[[Telemetry], None], line: str) -> None:
    telemetry = new_telemetry()
    assert line not in ours(telemetry)
    report(telemetry)
    assert line in ours(telemetry)


def query_lines(telemetry: Telemetry) -> list[str]:
    return [line for line in ours(telemetry, about="aliyun_vod_query_") if not line.endswith("} 0.0")]


def test_a_successful_poll() -> None:
    telemetry = new_telemetry()
    telemetry.poll_ended("main", "headline", "success", seconds=1.5, ended_at=100.0, up=True)
    assert query_lines(telemetry) == [
        'aliyun_vod_query_up{account="main",query="headline"} 1.0',
        'aliyun_vod_query_polls_total{account="main",query="headline",result="success"} 1.0',
        'aliyun_vod_query_poll_duration_seconds{account="main",query="headline"} 1.5',
        'aliyun_vod_query_last_success_timestamp_seconds{account="main",query="headline"} 100.0',
    ]


def test_a_poll_that_failed_keeps_the_time_of_the_last_success() -> None:
    telemetry = new_telemetry()
    telemetry.poll_ended("main", "headline", "success", seconds=1.5, ended_at=100.0, up=True)
    telemetry.poll_ended("main", "headline", "partial", seconds=2.5, ended_at=200.0, up=False)
    assert query_lines(telemetry) == [
        'aliyun_vod_query_polls_total{account="main",query="headline",result="success"} 1.0',
        'aliyun_vod_query_polls_total{account="main",query="headline",result="partial"} 1.0',
        'aliyun_vod_query_poll_duration_seconds{account="main",query="headline"} 2.5',
        'aliyun_vod_query_last_success_timestamp_seconds{account="main",query="headline"} 100.0',
    ]


@pytest.mark.parametrize(("overlapped", "up"), [(True, "1.0"), (False, "0.0")])
def test_a_skipped_poll_changes_up_unless_it_overlapped(overlapped: bool, up: str) -> None:  # noqa: FBT001
    telemetry = new_telemetry()
    telemetry.poll_ended("main", "headline", "success", seconds=1.5, ended_at=100.0, up=True)
    telemetry.poll_skipped("main", "headline", overlapped=overlapped)
    assert f'aliyun_vod_query_up{{account="main",query="headline"}} {up}' in ours(telemetry)
    assert 'aliyun_vod_query_polls_total{account="main",query="headline",result="skipped"} 1.0' in ours(telemetry)
    assert 'aliyun_vod_query_poll_duration_seconds{account="main",query="headline"} 1.5' in ours(telemetry)


def test_a_value_that_becomes_unknown_loses_its_series() -> None:
    telemetry = full_telemetry()
    telemetry.unknown_media("main", "headline", None)
    telemetry.unknown_media("main", "headline", None)
    telemetry.calls_remaining("main", None)
    assert ours(telemetry, about="aliyun_vod_query_unknown_media") == []
    assert ours(telemetry, about="aliyun_vod_api_calls_remaining") == []


def test_what_another_search_found_is_not_shown_for_the_one_that_replaces_it() -> None:
    telemetry = new_telemetry()
    key = "main", "headline"
    telemetry.set_discovery(searches={key: "courses"}, metadata=())
    telemetry.discovered(*key, 42, 1.0, complete=True)
    telemetry.discovery_changed(*key, "new", 42)
    found = ours(telemetry, about="aliyun_vod_query_discover")

    telemetry.set_discovery(searches={key: "courses"}, metadata=())
    assert ours(telemetry, about="aliyun_vod_query_discover") == found

    telemetry.set_discovery(searches={key: "films"}, metadata=())
    counted = [line for line in found if "_changes_total" in line]
    assert ours(telemetry, about="aliyun_vod_query_discover") == counted
    assert (len(found), len(counted)) == (4, 2)


def test_a_rejected_configuration_keeps_the_time_of_the_accepted_one() -> None:
    telemetry = new_telemetry()
    telemetry.config_loaded(100.0)
    assert ours(telemetry, about="aliyun_vod_exporter_config")[0].endswith("_successful 1.0")
    telemetry.config_rejected()
    assert ours(telemetry, about="aliyun_vod_exporter_config") == [
        "aliyun_vod_exporter_config_last_reload_successful 0.0",
        "aliyun_vod_exporter_config_last_reload_success_timestamp_seconds 100.0",
    ]


def test_a_reload_keeps_starts_and_removes_series() -> None:
    telemetry = full_telemetry()
    telemetry.set_targets(
        accounts=dict.fromkeys(("main", "second"), CALLS), queries=[("main", "headline"), ("second", "all")]
    )
    assert 'aliyun_vod_api_requests_total{account="main",action="Ask"} 1.0' in ours(telemetry)
    assert (
        'aliyun_vod_api_errors_total{account="second",action="Ask",code="Meter.ReadyTsError",kind="not_ready"} 0.0'
        in ours(telemetry)
    )
    assert 'aliyun_vod_query_up{account="second",query="all"} 0.0' in ours(telemetry)

    telemetry.set_targets(accounts={"second": CALLS}, queries=[("second", "all")])
    assert [line for line in ours(telemetry) if 'account="main"' in line or 'query="headline"' in line] == []
    assert 'aliyun_vod_api_requests_total{account="second",action="Ask"} 0.0' in ours(telemetry)
    assert 'aliyun_vod_query_up{account="second",query="all"} 0.0' in ours(telemetry)


def test_codes_beyond_the_limit_are_counted_as_other() -> None:
    telemetry = new_telemetry()
    for n in range(MOST_CODES + 3):
        telemetry.request_failed("main", ACTION, f"Code{n}", ErrorKind.SERVER if n % 2 else ErrorKind.OTHER)
    telemetry.request_failed("second", ACTION, "Code0", ErrorKind.OTHER)
    telemetry.request_failed("second", ACTION, "Meter.AuthError", ErrorKind.AUTH)
    errors = ours(telemetry, about="aliyun_vod_api_errors_total")
    codes = {line.split('code="')[1].split('"')[0] for line in errors}
    assert len(codes) == len(METER_CODES) + MOST_CODES + 1
    assert 'aliyun_vod_api_errors_total{account="main",action="Ask",code="Code49",kind="server"} 1.0' in errors
    assert 'aliyun_vod_api_errors_total{account="main",action="Ask",code="other",kind="other"} 2.0' in errors
    assert 'aliyun_vod_api_errors_total{account="main",action="Ask",code="other",kind="server"} 1.0' in errors
    assert 'aliyun_vod_api_errors_total{account="second",action="Ask",code="Code0",kind="other"} 1.0' in errors
    assert 'aliyun_vod_api_errors_total{account="second",action="Ask",code="Meter.AuthError",kind="auth"} 1.0' in errors


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("", "other"),
        ("a\x00b\nc\x1b\ud800", "a\ufffdb\ufffdc\ufffd\ufffd"),
        ("x" * 1000, "x" * 64),
        ('"} 1\n', '"} 1\ufffd'),
        ("忙", "忙"),
    ],
)
def test_a_hostile_code_is_made_safe(code: str, label: str) -> None:
    telemetry = new_telemetry()
    telemetry.request_failed("main", ACTION, code, ErrorKind.OTHER)
    for metrics in (
        read_text(telemetry.families.expose("text", generate_latest).text()),
        read_openmetrics(telemetry.families.expose("open", generate_openmetrics).text()),
    ):
        found = {dict(labels).get("code") for _name, labels in series(metrics)}
        assert found == {None, *METER_CODES, label}


def test_there_are_no_created_series() -> None:
    for exposition in (generate_latest, generate_openmetrics):
        assert b"_created" not in full_telemetry().families.expose("any", exposition).text()


def test_two_telemetries_do_not_share_a_registry() -> None:
    first, second = new_telemetry(), new_telemetry()
    first.request_sent("main", ACTION)
    assert 'aliyun_vod_api_requests_total{account="main",action="Ask"} 0.0' in ours(second)


def test_dropped_log_lines_are_read_when_collected() -> None:
    telemetry = Telemetry(version="1.2.3", accounts={}, queries=[], log_lines_dropped=lambda: 7)
    assert "aliyun_vod_exporter_log_lines_dropped_total 7.0" in ours(telemetry)
