"""A weekend's night without an alert, data of six hours ago, then players that fail and are hardly used any more.

Simulator, exporter, Prometheus with the shipped rules and Alertmanager with the shipped configuration run as processes.
The wall clock of the first two jumps from bucket to bucket. So `for` is shortened, a second for a minute: that alerts
need three buckets in a row is tested in tests/deploy/test_player_rules.py.
"""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import httpx
import pytest
import yaml

from tests.e2e.processes import PATIENCE, alertmanager, exporter, free_port, get, patch, prometheus_with, until, webhook
from tests.e2e.shipped import alertmanager_of, prometheus_of
from tests.e2e.test_clock import wall_clock
from tests.e2e.test_drop_alerts import after_evaluations

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.e2e.processes import Prometheus, Running
    from tests.e2e.test_clock import WallClock

pytestmark = [pytest.mark.tool(tool) for tool in ("faketime", "prometheus", "prometheus-alertmanager")]

KEYS: Final = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
CONFIGURATION: Final = """
accounts: [{{name: main, endpoint: {endpoint}}}]
queries: [{{name: q, media: {{top: 1}}, days_ago: [1], every: 1h, expected: false}}]
player: [{{name: app, terminal_type: web, every: 1m}}]
"""
FIRING: Final = 'ALERTS{alertname=~"AliyunVodPlayer.+", alertstate="firing"}'
LATE: Final = "AliyunVodPlayerDataLate"
BUCKET: Final = timedelta(minutes=5).total_seconds()
LAG_BUCKETS: Final = 2
# The second read that confirms a bucket, together with data of a later one.
CONFIRM_BUCKETS: Final = 2
THREE_BUCKETS: Final = 3
ALERTS: Final = 'ALERTS{alertname=~"AliyunVodPlayer.+"}'
ENDED: Final = 'aliyun_vod_api_request_duration_seconds_count{action="DescribeVodPlayerMetricData"}'
RESPONSES: Final = ENDED.replace("{", r"\{.*").replace("}", r".*\}")


def of(server: Prometheus, promql: str) -> float:
    """The value of the only series; 0 if there is none."""
    return max((value for _, value in server.query(promql)), default=0)


def alerts(server: Prometheus, state: str) -> set[str]:
    found = server.query(f'{ALERTS[:-1]}, alertstate="{state}"}}')
    return {labels["alertname"].removeprefix("AliyunVodPlayer") for labels, _ in found}


def with_short_waits(folder: Path) -> None:
    """Shorten `for` of the copied rules on players."""
    file = folder / "aliyun-vod-player-alerts.yml"
    text = file.read_text(encoding="utf-8")
    rules = yaml.safe_load(text)
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert rule["for"].endswith("m")
        rule["for"] = rule["for"].replace("m", "s")
    file.write_text(yaml.safe_dump(rules, allow_unicode=True), encoding="utf-8")


def responses(daemon: Running) -> float:
    """How many calls for players have ended, by the daemon itself."""
    return sum(map(float, re.findall(rf"^{RESPONSES} (.+)$", get(f"{daemon.url()}/metrics").text, re.MULTILINE)))


def polled(server: Prometheus, daemon: Running, before: float = 0) -> None:
    """Wait until a poll of two calls or more has ended and was scraped, and the rules were evaluated after it."""
    until(lambda: responses(daemon) >= before + 2, "a poll")
    until(
        lambda: of(server, ENDED) == responses(daemon) and server.query("aliyun_vod_player_up == 1"), "the scrape of it"
    )
    after_evaluations(server)


def next_bucket(clock: WallClock, server: Prometheus, daemon: Running) -> None:
    """Five minutes pass."""
    before = responses(daemon)
    clock.jump(BUCKET)
    polled(server, daemon, before)


# Twenty polls, each up to ten seconds after the clock has jumped: minutes of waiting, more on a loaded machine.
@pytest.mark.timeout(1800)
def test_a_quiet_night_a_late_service_and_broken_players(tmp_path: Path) -> None:
    (rules := tmp_path / "rules").mkdir()
    listen = f"--web.listen-address=127.0.0.1:{free_port()}"
    with (
        wall_clock(tmp_path, "24T02:28:00") as clock,
        webhook() as hook,
        alertmanager(tmp_path, alertmanager_of(hook.url, group_wait="1s", group_interval="2s")) as manager,
        exporter(
            tmp_path,
            "simulate",
            "--web.listen-address=127.0.0.1:0",
            "--media=400",
            "--admin",
            "--variant=bucket_gaps:some",
            **clock.environ,
        ) as service,
    ):
        endpoint = service.url()
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=endpoint))

        def serving() -> AbstractContextManager[Running]:
            return exporter(tmp_path, "serve", listen, **KEYS, **clock.environ)

        configuration = prometheus_of(f"http://{listen.partition('=')[2]}", manager.url, folder=rules)
        with_short_waits(rules)
        with prometheus_with(tmp_path, configuration) as server:
            # Until its first poll has ended the exporter has no data; that is pending for seconds.
            # Sunday, 02:10 to 02:40: few plays, and a bucket without data in this week and in the one before.
            with serving() as daemon:
                polled(server, daemon)
                starts = []
                for _ in range(7):
                    next_bucket(clock, server, daemon)
                    starts.append(of(server, "aliyun_vod_player_bucket_timestamp_seconds"))
                assert len(set(starts)) >= THREE_BUCKETS
                assert not all(later - earlier == BUCKET for earlier, later in pairwise(starts))
                assert server.query(f"count_over_time({FIRING}[30m])") == []
                assert {each["alertname"] for each, _ in server.query(f"count_over_time({ALERTS}[30m])")} <= {LATE}
                assert daemon.stop() == 0

            # The service is six hours late, which hides the players that broke an hour ago.
            clock.set("24T12:58:00")
            broken = ("player:Web@0T12:00", "terminal:Web:-80%@0T12:00")
            _incidents(endpoint, *broken)
            patch(f"{endpoint}/_admin/conditions", json={"variants": {"player_lag": "6h"}}).raise_for_status()
            with serving() as daemon:
                until(lambda: alerts(server, "firing"), "an alert")
                for _ in range(3):
                    next_bucket(clock, server, daemon)
                    assert alerts(server, "firing") | alerts(server, "pending") == {"DataLate"}
                assert daemon.stop() == 0

            # Ten minutes late again. Whether three buckets are bad is known one after the other.
            clock.set("24T14:58:00")
            _incidents(endpoint)
            patch(f"{endpoint}/_admin/conditions", json={"variants": {"player_lag": "10m"}}).raise_for_status()
            with serving() as daemon:
                polled(server, daemon)
                for _ in range(THREE_BUCKETS):
                    next_bucket(clock, server, daemon)
                until(lambda: not alerts(server, "firing"), "the end of the alert")
                hook.received.clear()
                _incidents(endpoint, *(each.replace("12:00", "15:10") for each in broken))
                buckets = 0
                while alerts(server, "pending") | alerts(server, "firing") < {"PlaysDropped", "FailureRatioHigh"}:
                    next_bucket(clock, server, daemon)
                    buckets += 1
                    assert buckets <= THREE_BUCKETS + LAG_BUCKETS + CONFIRM_BUCKETS
                until(lambda: alerts(server, "firing") == {"PlaysDropped", "FailureRatioHigh"}, "both alerts")
                until(lambda: len(_named(hook.received)) == 2, "the message")
                assert daemon.stop() == 0
        assert "Traceback" not in daemon.logged() + service.logged()


def _named(received: list[dict[str, list[dict[str, dict[str, str]]]]]) -> set[str]:
    return {alert["labels"]["alertname"] for each in received for alert in each["alerts"]}


def _incidents(endpoint: str, *incidents: str) -> None:
    changed = httpx.put(f"{endpoint}/_admin/incidents", json=incidents, timeout=PATIENCE)
    assert len(changed.raise_for_status().json()) == len(incidents)
