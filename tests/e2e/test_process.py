"""The daemon as operators see it: signals, a stalled service, a port in use, logs."""

from __future__ import annotations

import json
import signal
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import PATIENCE, exporter, get, until

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """
accounts:
  - name: main
    endpoint: {endpoint}
    timeout: {timeout}
queries:
  - {{name: q, media: all, days_ago: [0, 1, 2], expected: false}}
"""
KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
LISTEN = "--web.listen-address=127.0.0.1:0"


def write(folder: Path, endpoint: str, timeout: str = "1m") -> None:
    (folder / "config.yaml").write_text(CONFIGURATION.format(endpoint=endpoint, timeout=timeout))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_stalled_poll_ends_it_at_once_with_status_0(tmp_path: Path, number: int) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--fail=stall:1") as simulator:
        write(tmp_path, simulator.url(), timeout="10m")
        with exporter(tmp_path, "serve", LISTEN, **KEYS) as daemon:
            url = daemon.url()
            until(lambda: "requests_total" in get(f"{url}/metrics").text, "the first scrape")
            until(
                lambda: (
                    'aliyun_vod_api_requests_total{account="main",action="DescribeVodMediaPlayData"} 3.0'
                    in get(f"{url}/metrics").text
                ),
                "three stalled requests",
            )
            assert daemon.stop(number) == 0, "an answer would be waited for twice as long as is waited here"
        assert simulator.stop() == 0
        for process in (daemon, simulator):
            for word in ("Traceback", "never awaited", "was destroyed", "Warning"):
                assert word not in process.logged()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_an_online_check_whose_requests_stall(tmp_path: Path, number: int, status: int) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--fail=stall:1") as simulator:
        write(tmp_path, simulator.url(), timeout="10m")
        with exporter(tmp_path, "check-config", "--online", "--online.timeout=1h", **KEYS) as check:
            until(lambda: "Requests to the service, within 1h:" in check.out.read_text(), "the requests to begin")
            assert check.stop(number) == status
            assert "Traceback" not in check.logged()


def test_every_path_is_below_the_prefix_that_the_flags_give(tmp_path: Path) -> None:
    write(tmp_path, "http://127.0.0.1:1")
    with exporter(tmp_path, "serve", LISTEN, "--web.external-url=https://example.invalid/vod", **KEYS) as daemon:
        url = daemon.url()
        assert get(f"{url}/vod/-/healthy").status_code == HTTPStatus.OK
        assert get(f"{url}/-/healthy").status_code == HTTPStatus.NOT_FOUND


def test_it_starts_without_the_service_and_recovers_when_it_comes(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN) as simulator:
        endpoint = simulator.url()
        write(tmp_path, endpoint)
        (tmp_path / "config.yaml").write_text(
            (tmp_path / "config.yaml").read_text().replace("days_ago", "every: 10s, days_ago")
        )
        assert simulator.stop() == 0
        with exporter(tmp_path, "serve", LISTEN, **KEYS) as daemon:
            url = daemon.url()
            until(lambda: 'code="connect",kind="transport"} ' in get(f"{url}/metrics").text, "a failed attempt")
            with exporter(tmp_path, "simulate", f"--web.listen-address={endpoint.removeprefix('http://')}"):
                until(lambda: "aliyun_vod_media_plays{" in get(f"{url}/metrics").text, "recovery")
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged()


def test_a_port_in_use_is_one_clear_line_and_status_1(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN) as simulator:
        endpoint = simulator.url()
        write(tmp_path, endpoint)
        taken = f"--web.listen-address={endpoint.removeprefix('http://')}"
        with exporter(tmp_path, "serve", taken, **KEYS) as daemon:
            assert daemon.process.wait(PATIENCE) == 1
            assert daemon.logged() == (
                f"aliyun-vod-exporter: cannot listen on {endpoint.removeprefix('http://')}: Address already in use."
                " Choose another --web.listen-address or stop what uses it.\n"
            )


def test_json_logs_are_json_from_the_first_line_to_the_last_without_secrets(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--access-key-secret=another") as simulator:
        write(tmp_path, simulator.url())
        with exporter(tmp_path, "serve", LISTEN, "--log.format=json", "--log.level=debug", **KEYS) as daemon:
            until(lambda: "SignatureDoesNotMatch" in daemon.logged(), "the refusal in the log")
            assert daemon.stop() == 0
            entries = [json.loads(line) for line in daemon.logged().splitlines()]
            assert all({"ts", "level", "msg"} <= entry.keys() for entry in entries)
            (refused, *_) = (entry for entry in entries if entry["msg"] == "API request failed")
            assert refused["code"] == "SignatureDoesNotMatch"
            assert refused["request_id"]
            assert refused["advice"]
            assert KEYS["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] not in daemon.logged()


@pytest.mark.parametrize(("output", "expected"), [("table", "media_id"), ("json", '"plays": '), ("prom", "# HELP ")])
def test_fetch_prints_one_poll(tmp_path: Path, output: str, expected: str) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--media=3") as simulator:
        write(tmp_path, simulator.url())
        with exporter(tmp_path, "fetch", f"--output={output}", **KEYS) as fetch:
            assert fetch.process.wait(PATIENCE) == 0
            assert expected in fetch.out.read_text()
            assert "polled q: success, 3 slices" in fetch.logged()


def test_fetch_ends_with_status_1_when_a_query_failed(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--fail=Meter.ParamError:1") as simulator:
        write(tmp_path, simulator.url())
        with exporter(tmp_path, "fetch", **KEYS) as fetch:
            assert fetch.process.wait(PATIENCE) == 1
            assert "Meter.ParamError" in fetch.logged()
            assert "Traceback" not in fetch.logged()
