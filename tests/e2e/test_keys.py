"""The key of an account is replaced under a running scraper: no failed scrape, no restart."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import httpx

from tests.e2e.processes import PATIENCE, exporter, get, patch, until

if TYPE_CHECKING:
    from pathlib import Path

LISTEN: Final = "--web.listen-address=127.0.0.1:0"
CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id_file: key_id, access_key_secret_file: key_secret}}
    limits: {{requests_per_second: 100}}
queries: [{{name: q, media: all, days_ago: [0], every: 10s}}]
"""
SUCCESSES: Final = 'aliyun_vod_query_polls_total{account="main",query="q",result="success"} '


def write_key(folder: Path, key_id: str, secret: str) -> None:
    for name, content in (("key_id", key_id), ("key_secret", secret)):
        (folder / "new").write_text(f"{content}\n")
        (folder / "new").rename(folder / name)


def successes(url: str) -> float:
    (line,) = (line for line in get(f"{url}/metrics").text.splitlines() if line.startswith(SUCCESSES))
    return float(line.removeprefix(SUCCESSES))


def test_a_key_is_replaced_under_a_running_scraper(tmp_path: Path) -> None:
    write_key(tmp_path, "simulator", "simulator-secret")
    statuses: list[int] = []
    stop = threading.Event()

    def scrape(url: str) -> None:
        with httpx.Client(timeout=PATIENCE) as client:
            while not stop.wait(0.05):
                statuses.append(client.get(f"{url}/metrics").status_code)

    with exporter(tmp_path, "simulate", LISTEN, "--media=5", "--admin") as simulator:
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url()))
        with exporter(tmp_path, "serve", LISTEN) as daemon:
            url = daemon.url()
            scraper = threading.Thread(target=scrape, args=(url,))
            scraper.start()
            try:
                before = until(lambda: successes(url), "the first poll")
                exchanged = {"credentials": {"access_key_id": "second", "access_key_secret": "another-secret"}}
                patch(f"{simulator.url()}/_admin/conditions", json=exchanged).raise_for_status()
                write_key(tmp_path, "second", "another-secret")
                # A request in flight while the key changed may have used the old one.
                until(lambda: successes(url) >= before + 2, "polls with the new key")
            finally:
                stop.set()
                scraper.join()
            assert daemon.stop() == 0
        log_text = daemon.logged()
    assert set(statuses) == {200}
    for secret in ("simulator-secret", "another-secret", "Traceback"):
        assert secret not in log_text


def test_a_corrected_key_is_used_immediately_whatever_the_interval(tmp_path: Path) -> None:
    write_key(tmp_path, "simulator", "mistyped")
    with exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator:
        seldom = CONFIGURATION.format(endpoint=simulator.url()).replace("every: 10s", "every: 12h")
        (tmp_path / "config.yaml").write_text(seldom)
        with exporter(tmp_path, "serve", LISTEN) as daemon:
            url = daemon.url()
            until(lambda: 'result="failure"} 1' in get(f"{url}/metrics").text, "the poll that is refused")
            (tmp_path / "key_secret").unlink()
            until(lambda: 'result="failure"} 2' in get(f"{url}/metrics").text, "the poll without a key")
            write_key(tmp_path, "simulator", "simulator-secret")
            until(lambda: successes(url), "the poll with the corrected key")
            assert daemon.stop() == 0
        log_text = daemon.logged()
    assert 'msg="key file changed" account=main polled_now=q' in log_text
