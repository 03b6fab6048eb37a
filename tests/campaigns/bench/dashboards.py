"""What a load of each dashboard costs a real Prometheus, by number of media."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploy.grafana.builder import promql, written
from exporter.core import play_dates
from exporter.documents.durations import parse
from exporter.simulator.generated_media import most_played
from tests.campaigns.bench.machine import program
from tests.campaigns.bench.rows import Goal, Row, Section, missing, row
from tests.deploy.grafana import DEFAULT_SCRAPE_INTERVAL, DashboardQueries
from tests.e2e.processes import exporter, free_port, post, prometheus_with, until
from tests.e2e.shipped import RULES

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.e2e.processes import Prometheus

SIZES: Final = (100, 5_000)
ROUNDS: Final = 5
LOADS: Final = 4
SECONDS: Final = Goal(0.5)
KILOBYTES: Final = Goal(50)
NAMES: Final = ("overview", "media", "exporter", "player")
_DAY: Final = 86_400
_DAYS: Final = 30
_RECORDED: Final = 120  # seconds between evaluations of the rules for dashboards
_RESTS: Final = (5, 0.1)  # within so many seconds, so little CPU time
_PIXELS: Final = 1920  # of the screen; a panel asks for a point for each of its own
# More than the default, which would remove half of the days.
_RETENTION: Final = "--storage.tsdb.retention.time=90d"
CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
    limits: {{requests_per_second: 1000, concurrency: 8}}
    metadata: {{labels: [category]}}
settle: {{after: 24h, unchanged: 1}}  # so that a day is settled after the first poll, also before 09:00 UTC+8
queries:
  - name: all
    every: 5m
    media: all
    dimensions: [{{}}, {{terminal_type: [Native, Web]}}, {{os: [Android, iOS]}}]
    days_ago: [0, 1, 2, 8, 9]
  - {{name: month, every: 5m, media: {{top: 20, by: plays}}, days_ago: {month}}}
  - {{name: one, every: 5m, media: {{ids: [{one}]}}, days_ago: [0, 1, 2, 8, 9]}}
player:
  - {{name: app, app_id: app-1000000, terminal_type: [web, mobile], every: 1m}}
series_limit: 10000000
"""
_PROMETHEUS: Final = """
global: {{scrape_interval: 30s, scrape_timeout: 30s, evaluation_interval: 30s}}
rule_files: ["{rules}/*.yml"]
scrape_configs:
  - {{job_name: aliyun-vod, honor_labels: true, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}
"""


def sections() -> list[Section]:
    """Measure each number of media in a Prometheus of its own."""
    cpu: list[Row] = []
    sizes: list[Row] = []
    if program("prometheus") is None or program("promtool") is None:
        cpu = sizes = [missing("each dashboard", "s", "prometheus is not installed")]
    else:
        for media in SIZES:
            with tempfile.TemporaryDirectory() as folder, filled(Path(folder), media) as queries:
                for name in NAMES:
                    seconds, answers = measured(queries, json.loads(written.texts()[f"aliyun-vod-{name}.json"]))
                    largest = max(answers, key=lambda panel: answers[panel])
                    goals = (SECONDS if name == "overview" else None, KILOBYTES) if media == SIZES[-1] else (None, None)
                    called = f"{name.capitalize()}, {media:,} media"
                    cpu.append(row(called, "s", seconds, goal=goals[0]))
                    sizes.append(Row(called, answers[largest] / 1e3, "kB", goal=goals[1], note=largest))
    method = (
        f"Simulator, exporter and Prometheus with the shipped rules; plays of five filters and five days, of {_DAYS}"
        f" days of the 20 most played media, and {_DAYS} days of history of one video and of the records. A load is"
        " all queries of variables, annotations and panels outside collapsed rows, for a screen of 1920 pixels, while"
        " nothing is scraped."
    )
    return [
        Section("CPU time of Prometheus for a load of a dashboard", method, tuple(cpu)),
        Section("Largest response to a panel of a dashboard", "In the same loads, uncompressed.", tuple(sizes)),
    ]


def measured(queries: DashboardQueries, dashboard: dict[str, Any]) -> tuple[list[float], dict[str, int]]:
    """CPU seconds a load in each round, and the bytes of the responses to each panel."""
    answers = load(queries, dashboard)
    seconds = []
    for _ in range(ROUNDS):
        before = queries.server.cpu_seconds()
        for _ in range(LOADS):
            load(queries, dashboard)
        seconds.append((queries.server.cpu_seconds() - before) / LOADS)
    return seconds, answers


def load(queries: DashboardQueries, dashboard: dict[str, Any]) -> dict[str, int]:
    """Send what Grafana sends; the bytes of the responses to each panel."""
    queries.variables.clear()
    whole = float(parse(dashboard["time"]["from"].removeprefix("now-")))
    for annotation in dashboard["annotations"]["list"]:
        sent(queries, queries.expr(dashboard, annotation), whole, parse(annotation["step"]))
    answers: dict[str, int] = {}
    for panel in (each for each in dashboard["panels"] if each["type"] != "row"):
        span = float(parse(panel["timeFrom"])) if "timeFrom" in panel else whole
        points = _PIXELS * panel["gridPos"]["w"] / 24
        for target in panel["targets"]:
            least = parse(target.get("interval") or panel.get("interval") or DEFAULT_SCRAPE_INTERVAL)
            step = max(least, round(span / points))
            expr = queries.expr(dashboard, target, f"{step:.0f}s")
            size = sent(queries, expr, 0 if target.get("instant") else span, step)
            answers[panel["title"]] = answers.get(panel["title"], 0) + size
    return answers


def sent(queries: DashboardQueries, expr: str, span: float, step: float) -> int:
    """The bytes of the response to an instant query (no span) or to one over time, whose days begin in UTC+8."""
    data: dict[str, str | float] = {"query": expr, "time": queries.now}
    if span:
        start, end = ((at + 28_800) // step * step - 28_800 for at in (queries.now - span, queries.now))
        data = {"query": expr, "start": start, "end": end, "step": step}
    path = "query_range" if span else "query"
    return len(post(f"{queries.server.url}/api/v1/{path}", data=data).raise_for_status().content)


@contextlib.contextmanager
def filled(folder: Path, media: int) -> Generator[DashboardQueries]:
    """A Prometheus that has scraped an exporter and evaluated the rules, and now does neither."""
    anywhere, port = "--web.listen-address=127.0.0.1:0", free_port()
    scraped = _PROMETHEUS.format(rules=RULES, port=port)
    with exporter(folder, "simulate", anywhere, f"--media={media}") as simulator:
        placed = {"endpoint": simulator.url(), "month": [*range(_DAYS)], "one": most_played(0)}
        (folder / "config.yaml").write_text(CONFIGURATION.format_map(placed))
        _history(folder, port)
        with (
            exporter(folder, "serve", f"--web.listen-address=127.0.0.1:{port}"),
            prometheus_with(folder, scraped, _RETENTION) as server,
        ):
            until(lambda: server.query("aliyun_vod_player_data_lag_seconds"), "the second poll of the player")
            until(lambda: server.query(promql.TITLES_OF_MOVED), "the records")
            # Of records that read each other, some are complete only the next time.
            time.sleep(_RECORDED)
            now = time.time()
    with prometheus_with(folder, "scrape_configs: []", _RETENTION) as server:
        until(lambda: _rests(server), "Prometheus to have compacted its blocks")
        yield DashboardQueries(server, prefers=most_played(0), at=now)


def _rests(server: Prometheus) -> bool:
    before = server.cpu_seconds()
    time.sleep(_RESTS[0])
    return server.cpu_seconds() - before < _RESTS[1]


def _history(folder: Path, port: int) -> None:
    """What Prometheus would have of the past: of one video, and the recorded sums, which `backfill` does not write."""
    (folder / "records.txt").write_text("\n".join([*_records(time.time()), "# EOF", ""]))
    labels = ("--label=job=aliyun-vod", f"--label=instance=127.0.0.1:{port}")
    backfill = f"-m exporter backfill --query=one --days={_DAYS} --step=1m --blocks=tsdb".split()
    blocks = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "records.txt", "tsdb"]
    for command in ((sys.executable, *backfill, *labels), blocks):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)


def _records(now: float) -> Iterator[str]:
    labels = 'account="main",terminal_type="all",os="all",region="all"'
    for metric in (promql.SUM_OF_PLAYS, promql.SUM_OF_EXPECTED):
        yield f"# TYPE {metric} gauge"
        for day in range(_DAYS, 0, -1):
            settled = play_dates.start(play_dates.play_date(now, day + 1)) + 28_800
            since = now - day * _DAY
            for later in range(0, _DAY, _RECORDED):
                yield f'{metric}{{{labels},date="{settled:.0f}"}} 1000000 {since + later:.0f}'
