"""Two accounts in one real exporter, one of them with a key that the service rejects."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from tests.e2e.processes import exporter, get, until

if TYPE_CHECKING:
    from pathlib import Path

LISTEN = "--web.listen-address=127.0.0.1:0"
REQUESTS = r'aliyun_vod_api_requests_total{account="bad",action="DescribeVodMediaPlayData"} \S+'
CONFIGURATION = """
accounts:
  - name: good
    endpoint: {good}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
  - name: bad
    endpoint: {bad}
    credentials: {{access_key_id: simulator, access_key_secret_file: secret}}
queries:
  - {{name: ours, account: good, media: all, every: 10s, days_ago: [0, 1, 2], expected: false}}
  - {{name: theirs, account: bad, media: all, every: 10s, days_ago: [0, 1, 2], expected: false}}
"""


def test_a_rejected_key_affects_only_its_account_until_it_is_corrected(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with (
        exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator,
        exporter(elsewhere, "simulate", LISTEN, "--media=5", "--access-key-secret=right-secret", "--seed=2") as another,
    ):
        (tmp_path / "secret").write_text("wrong-secret")
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(good=simulator.url(), bad=another.url()))
        with exporter(tmp_path, "serve", LISTEN) as daemon:
            url = daemon.url()

            def shows(line: str) -> None:
                until(lambda: line in get(f"{url}/metrics").text, line)

            shows('aliyun_vod_query_polls_total{account="bad",query="theirs",result="failure"} 1.0')
            shows('aliyun_vod_query_polls_total{account="good",query="ours",result="success"} 1.0')
            refused = re.findall(REQUESTS, get(f"{url}/metrics").text)
            # It is polled on schedule while the other account is paused.
            shows('aliyun_vod_query_polls_total{account="bad",query="theirs",result="skipped"} 1.0')
            shows('aliyun_vod_query_polls_total{account="good",query="ours",result="success"} 2.0')
            metrics = get(f"{url}/metrics").text
            assert get(f"{url}/-/ready").status_code == 200
            assert 'aliyun_vod_query_up{account="good",query="ours"} 1.0' in metrics
            assert 'aliyun_vod_query_up{account="bad",query="theirs"} 0.0' in metrics
            assert 'aliyun_vod_media_plays{account="good"' in metrics
            assert 'aliyun_vod_media_plays{account="bad"' not in metrics
            assert re.findall(REQUESTS, metrics) == refused, "a pause sends nothing"

            (tmp_path / "secret").write_text("right-secret")
            daemon.process.send_signal(signal.SIGHUP)
            shows('aliyun_vod_query_up{account="bad",query="theirs"} 1.0')
            assert 'aliyun_vod_media_plays{account="bad"' in get(f"{url}/metrics").text
            assert daemon.stop() == 0
            for words in ("Traceback", "wrong-secret", "right-secret"):
                assert words not in daemon.logged()
