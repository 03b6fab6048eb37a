"""The table of player metrics, its documentation in two languages and the exposition agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from exporter.core.player_buckets import PublishedBuckets
from exporter.core.player_fields import PLAYER_FIELDS
from exporter.core.player_query import PlayerQuery, PlayerTarget, PlayerView
from exporter.exposition import catalog
from exporter.exposition.player_catalog import PLAYER_METRICS, PlayerCollector
from exporter.exposition.self_metrics import SELF_METRICS

DOCS = Path(__file__).parents[2] / "docs"
DAY = 86_400
QUERY = PlayerQuery("app", "main", (PlayerTarget("main", "app-1", "web"),), 300, "5m", ("plays",), (DAY, 7 * DAY))


def exposed(*views: PlayerView) -> list[str]:
    registry = CollectorRegistry()
    PlayerCollector(lambda: views, registry)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def view(os: str = "", **known: object) -> PlayerView:
    return PlayerView(QUERY, PlayerTarget("main", "app-1", "web", os), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize("page", ["player.md", "zh-CN/player.md"])
def test_the_page_has_every_row_of_the_table_in_its_order(page: str) -> None:
    lines = [line for line in (DOCS / page).read_text("utf-8").splitlines() if line.startswith("| `aliyun_vod_player")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = [(name.strip("`"), type_, tuple(re.findall(r"`(\w+)`", labels))) for name, type_, labels, *_ in cells]
    assert rows == [(metric.name, metric.type.value, metric.labels) for metric in PLAYER_METRICS]
    assert all(len(row) == 6 and all(row) for row in cells)
    named = {field.wire_name for field in PLAYER_FIELDS}
    assert named == {found for row in cells for found in re.findall(r"[(（](\w+)[)）]$", row[3])}


@pytest.mark.parametrize("metric", PLAYER_METRICS, ids=lambda metric: metric.name)
def test_a_help_is_a_sentence_with_the_unit_and_says_experimental(metric: catalog.Metric) -> None:
    assert metric.help[0].isupper()
    assert metric.help.endswith("experimental).")
    assert not set(metric.help) & set('"\\\n')
    if metric.name.endswith("_seconds"):
        assert "in seconds" in metric.help


def test_no_name_is_that_of_another_metric() -> None:
    names = [metric.name for metric in (*PLAYER_METRICS, *catalog.PLAY_METRICS, *SELF_METRICS)]
    assert len(names) == len(set(names))


def test_the_series_of_a_target() -> None:
    published = PublishedBuckets(300, {0: {"plays": 7.0, "viewers": 3.0}, DAY: {"plays": 9.0}, 7 * DAY: {}})
    assert exposed(view("iOS", up=True, published=published, lag=610.5, revisions=2), view()) == [
        'aliyun_vod_player_plays{account="main",ago="",app_id="app-1",os="iOS",terminal_type="web"} 7.0',
        'aliyun_vod_player_plays{account="main",ago="1d",app_id="app-1",os="iOS",terminal_type="web"} 9.0',
        'aliyun_vod_player_viewers{account="main",ago="",app_id="app-1",os="iOS",terminal_type="web"} 3.0',
        'aliyun_vod_player_bucket_timestamp_seconds{account="main",app_id="app-1",os="iOS",terminal_type="web"} 300.0',
        'aliyun_vod_player_data_lag_seconds{account="main",app_id="app-1",os="iOS",terminal_type="web"} 610.5',
        'aliyun_vod_player_bucket_revisions_total{account="main",app_id="app-1",os="all",terminal_type="web"} 0.0',
        'aliyun_vod_player_bucket_revisions_total{account="main",app_id="app-1",os="iOS",terminal_type="web"} 2.0',
        'aliyun_vod_player_up{account="main",app_id="app-1",os="all",terminal_type="web"} 0.0',
        'aliyun_vod_player_up{account="main",app_id="app-1",os="iOS",terminal_type="web"} 1.0',
    ]


def test_without_targets_there_is_not_a_byte() -> None:
    assert exposed() == []
