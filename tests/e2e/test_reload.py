"""Reloading as an operator does it: SIGHUP and POST to a real process, at the wrong time too."""

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
  - {{name: first, media: all, days_ago: 1}}
"""
SECOND = "  - {name: second, media: {top: 3}, days_ago: 2}\n"


def write(folder: Path, endpoint: str, more: str = "") -> None:
    (folder / "config.yaml").write_text(CONFIGURATION.format(endpoint=endpoint) + more)


def shows(url: str, line: str) -> None:
    until(lambda: line in get(f"{url}/metrics").text, line)


def hang_up(daemon: Running) -> None:
    daemon.process.send_signal(signal.SIGHUP)


def test_a_hangup_reloads_a_good_file_and_keeps_the_exporter_from_a_bad_one(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator:
        write(tmp_path, simulator.url())
        with exporter(tmp_path, "serve", LISTEN) as daemon:
            url = daemon.url()
            shows(url, 'aliyun_vod_query_polls_total{query="first",result="success"} 1.0')

            write(tmp_path, simulator.url(), SECOND)
            hang_up(daemon)
            shows(url, 'aliyun_vod_query_polls_total{query="second",result="success"} 1.0')

            write(tmp_path, simulator.url(), "  - {name: third, media: al, evry: 1m}\n")
            hang_up(daemon)
            shows(url, "aliyun_vod_exporter_config_last_reload_successful 0.0")
            (line,) = re.findall(".*configuration not reloaded.*", daemon.said())
            for problem in ("config.yaml:8:26: queries[1].media:", "queries[1].evry: is not a setting here"):
                assert problem in line
            assert "simulator-secret" not in daemon.said()

            metrics = get(f"{url}/metrics").text
            for name in ("first", "second"):
                assert f'aliyun_vod_query_polls_total{{query="{name}",result="success"}} 1.0' in metrics
            assert httpx.post(f"{url}/-/reload", timeout=PATIENCE).status_code == 403, "nobody has allowed it"
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.said()


def test_a_post_reloads_where_it_is_allowed(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator:
        write(tmp_path, simulator.url())
        with exporter(tmp_path, "serve", LISTEN, "--web.enable-lifecycle") as daemon:
            url = daemon.url()
            write(tmp_path, simulator.url(), SECOND)
            assert httpx.post(f"{url}/-/reload", timeout=PATIENCE).status_code == 200
            shows(url, 'aliyun_vod_query_polls_total{query="second",result="success"} 1.0')

            (tmp_path / "config.yaml").write_text("queries: []")
            answer = httpx.post(f"{url}/-/reload", timeout=PATIENCE)
            assert answer.status_code == 500
            assert "config.yaml:1:10: queries:" in answer.text
            assert daemon.stop() == 0


def test_hangups_while_it_starts_and_stops_do_not_end_it(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", LISTEN, "--media=5") as simulator:
        # A configuration of many lines keeps the start busy for a while.
        write(tmp_path, simulator.url(), "#\n" * 100_000)
        later = tmp_path / "later"
        later.mkdir()
        write(later, simulator.url(), SECOND)
        with exporter(tmp_path, "serve", LISTEN) as daemon:
            until(lambda: _handles_hangup(daemon), "the handler of SIGHUP")
            hang_up(daemon)
            (later / "config.yaml").replace(tmp_path / "config.yaml")
            hang_up(daemon)
            until(lambda: "configuration reloaded" in daemon.said(), "a reload after the start")
            shows(daemon.url(), 'aliyun_vod_query_polls_total{query="second",result="success"} 1.0')

            daemon.process.send_signal(signal.SIGTERM)
            while daemon.process.poll() is None:
                hang_up(daemon)
            assert daemon.process.returncode == 0
            assert "Traceback" not in daemon.said()


def _handles_hangup(daemon: Running) -> bool:
    """Whether the process catches SIGHUP by now, as the kernel sees it."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)
