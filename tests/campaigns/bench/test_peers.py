from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.campaigns.bench import gauges, peers

TEXT = """\
# HELP aliyun_vod_media_plays Number of plays.
# TYPE aliyun_vod_media_plays gauge
aliyun_vod_media_plays{account="main",media_id="a",days_ago="0"} 3.0
aliyun_vod_media_plays{account="main",media_id="b",days_ago="0"} 4.0
# HELP aliyun_vod_media_info Always 1.
# TYPE aliyun_vod_media_info gauge
aliyun_vod_media_info{account="main",media_id="a",title="one \\"two\\""} 1.0
"""
SELF_METRICS = """\
# HELP aliyun_vod_slice_media Number of media.
# TYPE aliyun_vod_slice_media gauge
aliyun_vod_slice_media{account="main"} 2.0
# HELP process_cpu_seconds_total Seconds.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 1.0
"""


def test_peers_serve_only_the_series_of_media() -> None:
    assert peers.play_series(TEXT + SELF_METRICS) == TEXT
    assert peers.count(TEXT + SELF_METRICS) == 3


def test_gauges_serve_exactly_the_given_series() -> None:
    families = list(text_string_to_metric_families(TEXT))
    served = generate_latest(gauges.registry(families)).decode()
    assert list(text_string_to_metric_families(served)) == families
