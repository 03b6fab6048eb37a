"""Prometheus restarts beside two exporters, one of which comes later, while a breakdown is not settled: nothing rings.

Prometheus with the shipped rules and Alertmanager with the shipped configuration are real, the exporters are pages of
numbers: each has half of the media of one account, and one video has dropped.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from tests.e2e.processes import GLANCE, alertmanager, prometheus_with, until, webhook
from tests.e2e.shipped import alertmanager_of, prometheus_of
from tests.e2e.test_drop_alerts import after_evaluations

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.processes import Prometheus

pytestmark = [pytest.mark.tool(tool) for tool in ("prometheus", "prometheus-alertmanager")]

DAY: Final = 86_400
DATE: Final = 1_795_708_800
HALF: Final = 20
DROPPED: Final = "m25"
FIRED: Final = 'count by (alertname, media_id) (count_over_time(ALERTS{alertname=~"AliyunVod(Account|Media).+"}[10m]))'


@dataclass
class Exporter:
    """What a scrape is answered with; without a body it fails."""

    body: bytes
    place: str = ""
    answers: bool = True


def exposition(media: range) -> bytes:
    """Media that had 97 % of their expected plays, but for one that had 20 %.

    iOS is a day behind, on which it had lost its share and which had four times the plays: not settled since then.
    """
    lines = []
    for os, usual, date in (("all", 1000, DATE), ("Android", 600, DATE), ("iOS", 1600, DATE - DAY)):
        labels = f'account="main",terminal_type="all",os="{os}",region="all"'
        lines.append(f"aliyun_vod_slice_settled_date_timestamp_seconds{{{labels}}} {date}")
        for number in media:
            media_id = f"m{number}"
            share = 0.05 if os == "iOS" else 0.2 if media_id == DROPPED else 0.97
            each = f'{labels},media_id="{media_id}"'
            lines.append(f"aliyun_vod_media_settled_plays{{{each}}} {usual * share:.0f}")
            lines.append(f"aliyun_vod_media_settled_plays_expected{{{each}}} {usual}")
    return ("\n".join(lines) + "\n").encode()


@contextlib.contextmanager
def serving(exporter: Exporter) -> Generator[Exporter]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(HTTPStatus.OK if exporter.answers else HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            if exporter.answers:
                self.wfile.write(exporter.body)

        def log_message(self, *_: object) -> None:
            """Do not log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": GLANCE})
        thread.start()
        exporter.place = f"127.0.0.1:{server.server_address[1]}"
        try:
            yield exporter
        finally:
            server.shutdown()
            thread.join()


def scraping(exporters: tuple[Exporter, ...], manager: str, folder: Path) -> str:
    configuration = yaml.safe_load(prometheus_of("http://none", manager, folder=folder))
    (job,) = configuration["scrape_configs"]
    (targets,) = job["static_configs"]
    targets["targets"] = [each.place for each in exporters]
    return yaml.safe_dump(configuration)


def up(server: Prometheus) -> int:
    return sum(value == 1 for _, value in server.query('up{job=~".*aliyun-vod.*"}'))


def test_a_restart_of_prometheus_beside_two_exporters_tells_nothing_new(tmp_path: Path) -> None:
    (rules := tmp_path / "rules").mkdir()
    early, late = Exporter(exposition(range(HALF, 2 * HALF))), Exporter(exposition(range(HALF)))
    with (
        serving(early),
        serving(late),
        webhook() as hook,
        alertmanager(tmp_path, alertmanager_of(hook.url, group_wait="4s", group_interval="2s")) as manager,
    ):
        configuration = scraping((early, late), manager.url, rules)

        def fired(server: Prometheus) -> list[tuple[str, str]]:
            return [(labels["alertname"], labels.get("media_id", "")) for labels, _ in server.query(FIRED)]

        # With its data, then with none of it.
        for folder in (tmp_path / "kept", tmp_path / "kept", tmp_path / "lost"):
            folder.mkdir(exist_ok=True)
            late.answers = not hook.received
            with prometheus_with(folder, configuration) as server:
                until(lambda: up(server) == 1 + late.answers, "the exporters that answer")
                after_evaluations(server)
                late.answers = True
                until(lambda: up(server) == 2, "both exporters")
                after_evaluations(server)
                assert fired(server) == [("AliyunVodMediaPlaysDropped", DROPPED)]
                until(lambda: hook.received, "the message")
                after_evaluations(server)
            ((alert,),) = [each["alerts"] for each in hook.received]
            assert (alert["labels"]["media_id"], alert["status"]) == (DROPPED, "firing")
