"""Two real replicas and a real Prometheus that scrapes both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import exporter, prometheus_with, until

if TYPE_CHECKING:
    from pathlib import Path

LISTEN = "--web.listen-address=127.0.0.1:0"
CONFIGURATION = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
    limits: {{requests_per_second: 1000}}
queries:
  - name: q
    media: all
    days_ago: [1, 8]
    dimensions: [{{}}, {{terminal_type: [Native, Web]}}, {{os: [Android, iOS, Windows]}}]
"""
PLAY = '{__name__=~"aliyun_vod_(media|slice|play_date)_.*"}'
# As in the README: without the label `instance`.
RATIO = 'aliyun_vod_media_plays{days_ago="1"} / ignoring(days_ago) aliyun_vod_media_plays{days_ago="8"}'
TITLED = "aliyun_vod_media_plays * on (account, media_id) group_left (title) aliyun_vod_media_info"


@pytest.mark.tool("prometheus")
def test_prometheus_sees_every_series_once_and_the_queries_of_the_readme_work(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator:
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url()))
        folders = [tmp_path / name for name in ("first", "second")]
        for folder in folders:
            folder.mkdir()
        flags = ["serve", LISTEN, f"--config.file={tmp_path}/config.yaml", "--total-shards=2"]
        with (
            exporter(folders[0], *flags, "--shard=0", "--storage.path=first.db") as first,
            exporter(folders[1], *flags, "--shard=1", "--storage.path=second.db") as second,
        ):
            targets = [replica.url().removeprefix("http://") for replica in (first, second)]
            with prometheus_with(
                tmp_path,
                "global: {scrape_interval: 1s}\n"
                f"scrape_configs: [{{job_name: vod, static_configs: [{{targets: {targets}}}]}}]\n",
            ) as server:
                until(
                    lambda: server.query('sum(aliyun_vod_query_polls_total{result="success"}) == 2'),
                    "both replicas to have polled",
                )
                until(lambda: server.query("count(aliyun_vod_slice_ready) == 12"), "every slice")

                assert len(server.query(f"count by (instance) ({PLAY})")) == 2, "both do something"
                names = "__name__, account, media_id, title, terminal_type, os, region, days_ago"
                assert server.query(f"count by ({names}) ({PLAY}) > 1") == []
                pairs = RATIO.replace("aliyun_vod_media_plays", "max without (instance) (aliyun_vod_media_plays")
                ratios = len(server.query(pairs.replace("}", "})")))
                assert len(server.query(RATIO)) == ratios > 0
                assert len(server.query(TITLED)) == len(server.query("aliyun_vod_media_plays"))
                assert len(server.query("aliyun_vod_play_date_timestamp_seconds")) == 2
            for replica in (first, second):
                assert replica.stop() == 0
                assert "Traceback" not in replica.logged()
