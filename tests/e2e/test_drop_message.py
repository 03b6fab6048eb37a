"""From numbers to a message: Prometheus with the shipped rules, Alertmanager with the shipped texts, a robot."""

from __future__ import annotations

import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.deploy.promtool import newest
from tests.deploy.robots import configuration, robots
from tests.e2e.processes import GLANCE, alertmanager, prometheus_with, until
from tests.e2e.shipped import prometheus_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("prometheus")
MEDIA, DROPPED = 100, 30


def exposition() -> bytes:
    """Settled plays of the media of an account: the first ones are hardly played, the later of them lost more."""
    lines = []
    for number in range(MEDIA):
        media = f'account="main",media_id="{number:032x}"'
        lines.append(f'aliyun_vod_media_info{{{media},title="视频 {number}"}} 1')
        for os, expected in (("all", 1000 + 7 * number), ("Android", 600 + 4 * number)):
            labels = f'{media},terminal_type="all",os="{os}",region="all"'
            plays = number if number < DROPPED else expected
            lines.append(f"aliyun_vod_media_settled_plays_expected{{{labels}}} {expected}.4")
            lines.append(f"aliyun_vod_media_settled_plays{{{labels}}} {plays}")
    for os in ("all", "Android"):
        labels = f'account="main",terminal_type="all",os="{os}",region="all"'
        lines.append(f"aliyun_vod_slice_settled_date_timestamp_seconds{{{labels}}} 1795708800")
    return ("\n".join(lines) + "\n").encode()


def test_thirty_drops_are_one_message_of_the_twenty_that_lost_most(tmp_path: Path) -> None:
    body = exposition()

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Do not log."""

    (rules := tmp_path / "rules").mkdir()
    program = newest("prometheus-alertmanager", "0.32")
    with robots() as groups, ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as exporter:
        thread = Thread(target=exporter.serve_forever, kwargs={"poll_interval": GLANCE})
        thread.start()
        try:
            shipped = configuration(tmp_path, groups, "wecom", "zh").replace("group_wait: 1s", "group_wait: 20s")
            with alertmanager(tmp_path, shipped, program) as manager:
                scraped = prometheus_of(f"http://127.0.0.1:{exporter.server_port}", manager.url, folder=rules)
                with prometheus_with(tmp_path, scraped):
                    until(lambda: groups.shown or groups.refused, "the message")
        finally:
            exporter.shutdown()
            thread.join()
    assert groups.refused == []
    (message,) = groups.shown
    rows = [line for line in message.lines if re.match(r"\d+\. ", line)]
    assert rows == [
        f"{row}. 🔴 视频 {number} 几乎没有播放：2026-11-27 播放 {number} 次，预期约 {1000 + 7 * number} 次"
        f"（{round(100 * number / (1000.4 + 7 * number))}%）；损失最多：Android"
        for row, number in enumerate(range(DROPPED - 1, DROPPED - 21, -1), 1)
    ]
    assert message.lines[21] == "另有 10 个掉量的媒体未显示。"
    assert message.lines[22] == "账号的中位媒体为预期的 100%。"
