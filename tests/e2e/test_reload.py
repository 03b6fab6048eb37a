"""Reloads by operators: SIGHUP and POST to a real process, also at the wrong time."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from tests.e2e.processes import PATIENCE, exporter, get, until

if TYPE_CHECKING:
    from tests.e2e.processes import Running

LISTEN = "--web.listen-address=127.0.0.1:0"
CONFIGURATION = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
queries:
  - {{name: first, media: all, days_ago: 1, expected: false}}
"""
SECOND = "  - {name: second, media: {top: 3}, days_ago: 2}\n"


def write(folder: Path, endpoint: str, more: str = "") -> None:
    (folder / "config.yaml").write_text(CONFIGURATION.format(endpoint=endpoint) + more)


def shows(url: str, line: str) -> None:
    until(lambda: line in get(f"{url}/metrics").text, line)


def send_sighup(daemon: Running) -> None:
    daemon.process.send_signal(signal.SIGHUP)


def test_sighup_reloads_a_valid_file_and_rejects_an_invalid_one(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator:
        write(tmp_path, simulator.url())
        with exporter(tmp_path, "serve", LISTEN) as daemon:
            url = daemon.url()
            shows(url, 'aliyun_vod_query_polls_total{account="main",query="first",result="success"} 1.0')

            write(tmp_path, simulator.url(), SECOND)
            send_sighup(daemon)
            shows(url, 'aliyun_vod_query_polls_total{account="main",query="second",result="success"} 1.0')

            write(tmp_path, simulator.url(), "  - {name: third, media: al, evry: 1m}\n")
            send_sighup(daemon)
            shows(url, "aliyun_vod_exporter_config_last_reload_successful 0.0")
            (line,) = re.findall(".*configuration not reloaded.*", daemon.logged())
            for problem in ("config.yaml:8:26: queries[1].media:", "queries[1].evry: is not a setting here"):
                assert problem in line
            assert "simulator-secret" not in daemon.logged()

            metrics = get(f"{url}/metrics").text
            for name in ("first", "second"):
                assert f'aliyun_vod_query_polls_total{{account="main",query="{name}",result="success"}} 1.0' in metrics
            assert httpx.post(f"{url}/-/reload", timeout=PATIENCE).status_code == 403, "it is not enabled"
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged()


def test_a_post_reloads_where_it_is_allowed(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator:
        write(tmp_path, simulator.url())
        with exporter(tmp_path, "serve", LISTEN, "--web.enable-lifecycle") as daemon:
            url = daemon.url()
            write(tmp_path, simulator.url(), SECOND)
            assert httpx.post(f"{url}/-/reload", timeout=PATIENCE).status_code == 200
            shows(url, 'aliyun_vod_query_polls_total{account="main",query="second",result="success"} 1.0')

            (tmp_path / "config.yaml").write_text("queries: []")
            answer = httpx.post(f"{url}/-/reload", timeout=PATIENCE)
            assert answer.status_code == 500
            assert "config.yaml:1:10: queries:" in answer.text
            assert daemon.stop() == 0


def test_sighup_during_start_and_stop_does_not_end_it(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator:
        # A long configuration slows the start down.
        write(tmp_path, simulator.url(), "#\n" * 100_000)
        later = tmp_path / "later"
        later.mkdir()
        write(later, simulator.url(), SECOND)
        with exporter(tmp_path, "serve", LISTEN) as daemon:
            until(lambda: _handles_hangup(daemon), "the handler of SIGHUP")
            send_sighup(daemon)
            (later / "config.yaml").replace(tmp_path / "config.yaml")
            send_sighup(daemon)
            until(lambda: "configuration reloaded" in daemon.logged(), "a reload after the start")
            shows(daemon.url(), 'aliyun_vod_query_polls_total{account="main",query="second",result="success"} 1.0')

            daemon.process.send_signal(signal.SIGTERM)
            while daemon.process.poll() is None:
                send_sighup(daemon)
            assert daemon.process.returncode == 0
            assert "Traceback" not in daemon.logged()


def _handles_hangup(daemon: Running) -> bool:
    """Whether the process handles SIGHUP, as reported by the kernel."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)
