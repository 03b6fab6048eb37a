"""What one evaluation of the shipped rules costs a real Prometheus, by number of media and slices."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter.core.model import Dimensions
from tests.campaigns.drops.accounts import ALL, Account, account_wide
from tests.deploy.promtool import RULES
from tests.e2e.processes import prometheus_with, until

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

_FIVE: Final = (ALL, Dimensions("Native"), Dimensions("Web"), Dimensions(os="Android"), Dimensions(os="iOS"))
# Media and filters.
SIZES: Final = {100: (20, _FIVE), 2_000: (400, _FIVE), 10_000: (2_000, _FIVE)}
_SECONDS: Final = 15
_EVALUATIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds of Prometheus for a scrape and an evaluation of all rules, and the alerts that fire then."""

    seconds: float
    alerts: int


def measure(size: int, change: float, folder: Path) -> Cost:
    """On the day on which the plays of all media are 1 + `change` of what is usual; 0: a healthy day."""
    media, filters = SIZES[size]
    usual = account_wide("account", 1, change, media=media, days=2)
    account = Account(
        "cost", usual.seed, media, usual.first, usual.days, incidents=usual.incidents if change else (), filters=filters
    )
    body = "".join(_exposition(account, usual.days - 1)).encode()
    with _serving(body) as target, prometheus_with(folder, _configuration(target)) as server:
        until(lambda: server.query("aliyun_vod:slice_plays:share_ratio"), "the records")
        # The first evaluations, which create series and alerts, cost more; and so do requests in between.
        time.sleep(2 * _SECONDS)
        before = server.cpu_seconds()
        time.sleep(_EVALUATIONS * _SECONDS)
        seconds = (server.cpu_seconds() - before) / _EVALUATIONS
        alerts = server.query('ALERTS{alertstate="firing", alertname=~"AliyunVod(Account|Media).*"}')
        return Cost(seconds, len(alerts))


def _configuration(target: str) -> str:
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": f"{_SECONDS}s", "evaluation_interval": f"{_SECONDS}s"},
            "rule_files": [str(file) for file in RULES],
            "scrape_configs": [{"job_name": "aliyun-vod", "static_configs": [{"targets": [target]}]}],
        }
    )


def _exposition(account: Account, day: int) -> Iterator[str]:
    for each in account.filters:
        yield f"aliyun_vod_slice_settled_date_timestamp_seconds{{{_labels(account, each)}}} {86_400 * day}\n"
    titled = set()
    for dimensions, media_id, line in account.settled():
        if media_id not in titled:
            titled.add(media_id)
            labels = f'account="{account.name}",media_id="{media_id}",title="Video {media_id[:6]}"'
            yield f"aliyun_vod_media_info{{{labels}}} 1\n"
        settled = line[day]
        labels = f'{_labels(account, dimensions)},media_id="{media_id}"'
        if settled.plays is not None:
            yield f"aliyun_vod_media_settled_plays{{{labels}}} {settled.plays}\n"
            yield f"aliyun_vod_media_settled_plays_expected{{{labels}}} {settled.expected}\n" * (
                settled.expected is not None
            )


def _labels(account: Account, dimensions: Dimensions) -> str:
    return (
        f'account="{account.name}",terminal_type="{dimensions.terminal_type or "all"}",'
        f'os="{dimensions.os or "all"}",region="{dimensions.region or "all"}"'
    )


@contextlib.contextmanager
def _serving(body: bytes) -> Generator[str]:
    """Serve one exposition to every scrape."""

    class Exposition(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Exposition) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
