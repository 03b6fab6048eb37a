"""A fortnight of ageing media without a message, then a broken OS, then a day on which everything is lost.

Simulator, exporter, Prometheus with the shipped rules and Alertmanager with the shipped configuration run as processes.
The wall clock of the first two jumps from day to day; only intervals and waiting times are shortened.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.core import play_dates
from tests.e2e.processes import PATIENCE, alertmanager, exporter, get, prometheus_with, until, webhook
from tests.e2e.shipped import alertmanager_of, prometheus_of
from tests.e2e.test_clock import wall_clock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.processes import Prometheus

pytestmark = [pytest.mark.tool(tool) for tool in ("faketime", "prometheus", "prometheus-alertmanager")]

KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
LISTEN = "--web.listen-address=127.0.0.1:0"
MINUTE = 60
# As many as a large account has: DROP_ALERTS_MEDIA=5000.
MEDIA = int(os.environ.get("DROP_ALERTS_MEDIA", "200"))
# Messages in a fortnight in which nothing is broken, at most.
QUIET = MEDIA // 2500
# Rules read ten minutes of every series: each second, that would keep a processor busy, of thousands of media several.
INTERVAL = max(2, MEDIA // 500)
DAYS = 14
CONFIGURATION = """
accounts: [{{name: main, endpoint: {endpoint}, limits: {{requests_per_second: 500}}}}]
queries:
  - name: catalogue
    every: 10s
    media: all
    dimensions: [{{}}, {{os: [Android, iOS, Windows]}}, {{terminal_type: [Native, Web]}}]
    days_ago: [1]
settle: {{unchanged: 1}}
"""
DROPS = 'ALERTS{alertstate="firing", alertname=~"AliyunVod(Account|Media).+"}'
DATES = "aliyun_vod_slice_settled_date_timestamp_seconds"
# Polls are due every ten seconds of the wall clock: after such a jump the next two come soon after each other.
NEXT_DAY = timedelta(days=1, seconds=8).total_seconds()


def settled_on(server: Prometheus, slices: int = 6) -> float:
    """The settled day of all slices; 0 while they differ."""
    found = [value for _, value in server.query(DATES)]
    return found[0] if len(found) == slices and len(set(found)) == 1 else 0


def evaluated_since(server: Prometheus, moment: datetime) -> bool:
    """Whether every group of rules was evaluated for a time after `moment`, but for those for dashboards.

    What is reported is when an evaluation began, and it is for a time up to one interval before that.
    """
    groups = get(f"{server.url}/api/v1/rules").json()["data"]["groups"]
    return all(
        datetime.fromisoformat(group["lastEvaluation"]) > moment + timedelta(seconds=group["interval"])
        for group in groups
        if group["interval"] < MINUTE
    )


def after_evaluations(server: Prometheus) -> None:
    """Wait until records were evaluated for what is scraped now, then the alerts that read them."""
    for _ in ("records", "alerts"):
        moment = datetime.now(UTC)
        until(partial(evaluated_since, server, moment), "the rules to be evaluated")


def alerts(server: Prometheus) -> list[dict[str, str]]:
    return [labels for labels, _ in server.query(DROPS)]


# Sixteen days of two polls each, ten seconds apart: minutes of waiting, more on a loaded machine.
@pytest.mark.timeout(max(2400, MEDIA))
def test_a_fortnight_of_ageing_is_silent_and_what_breaks_is_named_on_its_first_day(tmp_path: Path) -> None:
    (rules := tmp_path / "rules").mkdir()
    with (
        wall_clock(tmp_path, "04T10:00:00") as clock,
        webhook() as hook,
        alertmanager(tmp_path, alertmanager_of(hook.url, group_wait="2s", group_interval="2s")) as manager,
        exporter(tmp_path, "simulate", LISTEN, f"--media={MEDIA}", "--admin", **clock.environ) as service,
    ):
        endpoint = service.url()
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=endpoint))

        def break_today(*incidents: str) -> None:
            changed = httpx.put(f"{endpoint}/_admin/incidents", json=incidents, timeout=PATIENCE)
            assert [each["first"] for each in changed.raise_for_status().json()]

        with (
            exporter(tmp_path, "serve", LISTEN, **KEYS, **clock.environ) as daemon,
            prometheus_with(
                tmp_path, prometheus_of(daemon.url(), manager.url, folder=rules, interval=INTERVAL)
            ) as server,
        ):

            def yesterday_settles() -> None:
                yesterday = play_dates.start(play_dates.play_date(clock.now(), 1))
                until(lambda: settled_on(server) == yesterday, "yesterday to settle")
                after_evaluations(server)

            def next_day() -> None:
                clock.jump(NEXT_DAY)
                yesterday_settles()

            yesterday_settles()
            noise = alerts(server)
            for _ in range(DAYS - 1):
                next_day()
                noise += alerts(server)
            assert (
                len(server.query('aliyun_vod_media_settled_plays_expected{os="all",terminal_type="all"}')) > 0.8 * MEDIA
            )
            assert len(hook.received) <= QUIET, noise
            hook.received.clear()

            break_today("os:iOS@0")
            next_day()
            (share,) = [each for each in alerts(server) if each["alertname"] == "AliyunVodAccountShareDropped"]
            assert (share["os"], share["account"], share["severity"]) == ("iOS", "main", "critical")
            until(lambda: hook.received, "the message")
            first = hook.received[0]
            assert "AliyunVodAccountShareDropped" in {each["labels"]["alertname"] for each in first["alerts"]}
            assert any("iOS of account main has" in each["annotations"]["summary"] for each in first["alerts"])

            # The next day is as bad as the day before: nothing new. Then everything is lost.
            next_day()
            break_today("os:iOS@2", "account:-70%@0")
            hook.received.clear()
            next_day()
            found = alerts(server)
            assert len(found) <= 30
            assert [each["alertname"] for each in found if each["severity"] == "critical"] == [
                "AliyunVodAccountPlaysDropped"
            ]
            until(lambda: hook.received, "the message")
            (alert,) = hook.received[0]["alerts"]
            assert alert["labels"]["alertname"] == "AliyunVodAccountPlaysDropped"
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged() + service.logged()
