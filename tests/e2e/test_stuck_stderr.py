"""The daemon with an unread standard error, as with a stuck log driver or a terminal after Ctrl-S."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from tests.e2e.processes import PATIENCE, exporter, free_port, get, until

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
queries: [{{name: q, media: {{top: 10, by: plays}}}}]
"""
# Each is an error, and a reload logs all errors in one line.
MISTAKES: Final = "".join(f"mistake_{number}: 1\n" for number in range(1000))


def dropped(url: str) -> int:
    (count,) = re.findall(
        r"^aliyun_vod_exporter_log_lines_dropped_total (\S+)", get(f"{url}/metrics").text, re.MULTILINE
    )
    return int(float(count))


@pytest.mark.parametrize("reader_comes_back", [True, False])
def test_it_serves_counts_what_is_lost_and_ends(tmp_path: Path, reader_comes_back: bool) -> None:  # noqa: FBT001  a case
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with exporter(tmp_path, "simulate", "--web.listen-address=127.0.0.1:0") as simulator:
        file = tmp_path / "config.yaml"
        file.write_text(CONFIGURATION.format(endpoint=simulator.url()))
        url = f"http://127.0.0.1:{(port := free_port())}"
        flags = (f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle")
        with subprocess.Popen(
            [sys.executable, "-m", "exporter", "serve", *flags], cwd=tmp_path, stderr=writing
        ) as daemon:
            os.close(writing)
            until(lambda: get(f"{url}/-/ready").is_success, "the first poll")
            assert dropped(url) == 0
            file.write_text(MISTAKES)

            def lost() -> int:
                assert httpx.post(f"{url}/-/reload", timeout=PATIENCE).status_code == httpx.codes.INTERNAL_SERVER_ERROR
                return dropped(url)

            lines = until(lost, "a line to be dropped")
            assert get(f"{url}/-/healthy").is_success
            text = b""
            while reader_comes_back and b'"log lines dropped"' not in text:
                text += os.read(reading, 1024 * 1024)
            started = time.monotonic()
            daemon.send_signal(signal.SIGTERM)
            while reader_comes_back and (more := os.read(reading, 65536)):
                text += more
            assert daemon.wait(PATIENCE) == 0
            assert time.monotonic() - started < 5, "the contract's own limit"
        assert simulator.stop() == 0
    os.close(reading)
    if reader_comes_back:
        received_text = text.decode().splitlines()
        assert all(re.match(r"ts=\S+ level=\w+ msg=", line) for line in received_text)
        (notice,) = (line for line in received_text if 'msg="log lines dropped"' in line)
        assert int(re.findall(r" lines=(\d+) ", notice)[0]) >= lines
        assert "msg=stopped" in received_text[-1]


def test_a_start_that_fails_says_so_and_ends(tmp_path: Path) -> None:
    """If the pipe has room; otherwise it ends all the same and is restarted."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    (tmp_path / "config.yaml").write_text(MISTAKES)
    with subprocess.Popen([sys.executable, "-m", "exporter", "serve"], cwd=tmp_path, stderr=writing) as daemon:
        assert daemon.wait(PATIENCE) == 2
    os.close(writing)
    assert os.read(reading, 100).startswith(b"config.yaml:1:1: mistake_0: ")
    os.close(reading)


def test_a_closed_reader_does_not_end_the_daemon(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", "--web.listen-address=127.0.0.1:0") as simulator:
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url()))
        reading, writing = os.pipe()
        os.close(reading)
        url = f"http://127.0.0.1:{(port := free_port())}"
        flags = ("serve", f"--web.listen-address=127.0.0.1:{port}")
        with subprocess.Popen([sys.executable, "-m", "exporter", *flags], cwd=tmp_path, stderr=writing) as daemon:
            os.close(writing)
            until(lambda: get(f"{url}/-/ready").is_success, "the first poll")
            until(lambda: dropped(url), "a line to be dropped")
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(PATIENCE) == 0
