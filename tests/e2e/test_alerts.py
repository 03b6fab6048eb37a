"""A video loses its plays: one notification about that day and none after it, with all programs real.

The simulator, the exporter, Prometheus with the shipped rules and Alertmanager with the shipped configuration run as
processes. Only intervals and waiting times are shortened, by configuration. The wall clock of the first two is set,
because a day settles at 09:00 and the next one a day later; it is ahead of Prometheus', so that no data is stale.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from exporter.core import play_dates
from exporter.simulator.generated_media import generate_media
from tests.e2e.processes import alertmanager, exporter, patch, prometheus_with, until, webhook
from tests.e2e.shipped import alertmanager_of, prometheus_of
from tests.e2e.test_clock import CHINA, wall_clock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.processes import Prometheus

pytestmark = [pytest.mark.tool(tool) for tool in ("faketime", "prometheus", "prometheus-alertmanager")]

KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
LISTEN = "--web.listen-address=127.0.0.1:0"
CONFIGURATION = """
accounts: [{{name: main, endpoint: {endpoint}, limits: {{requests_per_second: 100}}}}]
queries:
  - name: headline
    every: 10s
    media: {{ids: [{ids}]}}
    dimensions: [{{}}, {{terminal_type: [Native, Web]}}]
settle: {{unchanged: 1}}
"""
MEDIA = 120
_EVERY = list(generate_media(0, MEDIA))
COLLAPSING = _EVERY[1]
# Popular media without variation of their own: the drop of the whole account is below its alert threshold.
STEADY = sorted(
    (m for m in _EVERY if m is not COLLAPSING and not m.cycle and not m.quiet), key=lambda m: -m.popularity
)[:9]

DROPS = '{alertname=~"AliyunVod(Account|Media).+"}'
DATE = 'aliyun_vod_slice_settled_date_timestamp_seconds{terminal_type="all"}'
PLAYS = f'aliyun_vod_media_plays{{media_id="{COLLAPSING.media_id}", terminal_type="all", days_ago="%d"}}'
FALLEN = f"{PLAYS % 1} < ignoring (days_ago) 0.5 * {PLAYS % 8}"
# Polls are due every ten seconds of the wall clock. A clock that jumps by so much more than a multiple of that lets the
# next two polls come two seconds after each other.
SOON = timedelta(seconds=8)


def settled(server: Prometheus, days_ago: int) -> set[float]:
    return {value for _, value in server.query(f'aliyun_vod_slice_settled{{days_ago="{days_ago}"}}')}


def never_dropped(server: Prometheus) -> bool:
    """Whether no alert was pending or firing since Prometheus started."""
    return server.query(f"count_over_time(ALERTS{DROPS}[10m])") == []


def test_a_collapse_is_notified_once_with_its_numbers_and_where_they_were_lost(tmp_path: Path) -> None:
    (rules := tmp_path / "rules").mkdir()
    tomorrow = (datetime.now(CHINA) + timedelta(days=1)).replace(hour=8, minute=0, second=0)
    with (
        wall_clock(tmp_path, "24T08:00:00") as clock,
        webhook() as hook,
        alertmanager(tmp_path, alertmanager_of(hook.url, group_wait="10s", group_interval="2s")) as manager,
    ):
        clock.jump(tomorrow.timestamp() - clock.now())
        with exporter(
            tmp_path, "simulate", LISTEN, f"--media={MEDIA}", "--collapse=1", "--admin", **clock.environ
        ) as service:
            endpoint = service.url()
            ids = ", ".join(media.media_id for media in (COLLAPSING, *STEADY))
            (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=endpoint, ids=ids))

            def conditions(**changed: object) -> None:
                patch(f"{endpoint}/_admin/conditions", json=changed).raise_for_status()

            with (
                exporter(tmp_path, "serve", LISTEN, **KEYS, **clock.environ) as daemon,
                prometheus_with(tmp_path, prometheus_of(daemon.url(), manager.url, folder=rules)) as server,
            ):
                # 08:00: the numbers have fallen, and the week before is settled, but yesterday is not.
                until(lambda: settled(server, 8) == {1} and server.query(FALLEN), "the week before to settle")
                assert settled(server, 1) == {0}
                assert never_dropped(server)

                # 10:00: yesterday could settle, but the service fails.
                conditions(faults=[{"code": "Meter.ServerInternalError"}])
                clock.jump(timedelta(hours=2, seconds=5).total_seconds())
                until(lambda: server.query("aliyun_vod_query_up == 0"), "a poll to fail")
                assert server.query(FALLEN), "what was known is still shown"
                assert never_dropped(server)
                assert hook.received == []

                # The service answers again, and from today on the media is played as before.
                conditions(faults=[], recover_on=str(play_dates.today(clock.now())))
                clock.jump(SOON.total_seconds())
                until(lambda: hook.received, "the notification")
                (received_text,) = hook.received
                assert (hook.paths, received_text["status"]) == (["/dingtalk-drops"], "firing")
                assert received_text["groupLabels"] == {"account": "main"}
                (alert,) = received_text["alerts"]
                drop = alert["labels"]
                assert (drop["alertname"], drop["media_id"]) == ("AliyunVodMediaPlaysDropped", COLLAPSING.media_id)
                # The players of the app are where the plays went missing.
                assert (drop["title"], drop["most"]) == (COLLAPSING.title, "Native")
                ((_, plays),) = server.query(PLAYS % 1)
                assert (drop["plays"], int(drop["expected"]) > 3 * plays) == (str(int(plays)), True)
                assert int(drop["date"]) == play_dates.start(play_dates.play_date(clock.now(), 1)) + 28800
                assert alert["annotations"]["summary"].startswith(f"{COLLAPSING.title}: {int(plays)} plays on ")

                # Tomorrow after nine: today's recovered numbers are settled. The end of the alert is no notification.
                ((_, before),) = server.query(DATE)
                clock.jump((timedelta(days=1) + SOON).total_seconds())
                until(
                    lambda: server.query(f"{DATE} > {before}") and settled(server, 1) == {1}, "the next day to settle"
                )
                until(lambda: server.query(f"ALERTS{DROPS}") == [], "the drops to be over")
                assert server.query(FALLEN) == [], "it has recovered, not only vanished"
                assert hook.received == [received_text]
                assert daemon.stop() == 0
                assert "Traceback" not in daemon.logged() + service.logged()
