"""With very few file descriptors and a hundred idle clients, scrapes succeed and the log remains readable."""

from __future__ import annotations

import contextlib
import socket
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.campaigns.bench.slow_clients import CONFIGURATION, KEYS, LISTEN
from tests.e2e.processes import exporter, get, running, until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("descriptors", [14, 24, 40])
def test_scrapes_succeed(tmp_path: Path, descriptors: int) -> None:
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(exporter(tmp_path, "simulate", LISTEN, "--media=10"))
        configuration = tmp_path / "exporter.yml"
        configuration.write_text(CONFIGURATION.format(endpoint=simulator.url()))
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$0" "$@"']
        command = [*limited, sys.executable, "-m", "exporter", f"--config.file={configuration}", LISTEN]
        started = stack.enter_context(running(tmp_path, "exporter", *command, **KEYS))
        where = urlsplit(started.url())
        for _ in range(100):
            stack.enter_context(socket.create_connection((where.hostname, where.port), timeout=None))

        for _ in range(10):
            answer = until(lambda: get(f"http://{where.netloc}/metrics"), "an answer")
            assert answer.status_code == HTTPStatus.OK
        assert "Traceback" not in started.logged()
        assert len(started.logged().splitlines()) < 20


@pytest.mark.parametrize("descriptors", range(8, 20))
def test_with_storage_it_answers_scrapes_or_says_why_it_cannot_start(tmp_path: Path, descriptors: int) -> None:
    with contextlib.ExitStack() as stack:
        simulator = stack.enter_context(exporter(tmp_path, "simulate", LISTEN, "--media=10"))
        configuration = tmp_path / "exporter.yml"
        configuration.write_text(CONFIGURATION.format(endpoint=simulator.url()))
        configuration.chmod(0o600)
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$0" "$@"']
        command = [*limited, sys.executable, "-m", "exporter", f"--config.file={configuration}", LISTEN]
        started = stack.enter_context(running(tmp_path, "exporter", *command, "--storage.path=state.db", **KEYS))
        until(lambda: started.process.poll() is not None or "msg=polled" in started.logged(), "a poll or the end")
        if started.process.poll() is None:
            assert get(f"{started.url()}/metrics").status_code == HTTPStatus.OK
        else:
            assert started.process.returncode == 1
            assert started.logged().splitlines()[-1].startswith("aliyun-vod-exporter: ")
            assert "open at least 64 files and connections (ulimit -n" in started.logged()
        assert "Traceback" not in started.logged()
