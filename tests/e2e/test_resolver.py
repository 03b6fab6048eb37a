"""A name server that does not respond: scrapes succeed, and the daemon ends on a signal."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import exporter, get, until
from tests.e2e.test_process import KEYS, LISTEN

if TYPE_CHECKING:
    from pathlib import Path

ACCOUNTS = 20
# Replaces the resolver when the interpreter starts; a thread that waits in a system call cannot be stopped.
HANGING = """
import socket, threading
_known = socket.getaddrinfo
def getaddrinfo(host, *arguments, **options):
    if str(host).endswith(".example.invalid"):
        threading.Event().wait()
    return _known(host, *arguments, **options)
socket.getaddrinfo = getaddrinfo
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_unresolved_names_delay_neither_scrapes_nor_the_end(tmp_path: Path, number: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGING)
    accounts = "\n".join(
        f"  - {{name: a{n}, endpoint: 'https://vod{n}.example.invalid', timeout: 1m}}" for n in range(ACCOUNTS)
    )
    queries = "\n".join(f"  - {{name: q{n}, account: a{n}, media: all}}" for n in range(ACCOUNTS))
    (tmp_path / "config.yaml").write_text(f"accounts:\n{accounts}\nqueries:\n{queries}\n")
    with exporter(tmp_path, "serve", LISTEN, **KEYS, PYTHONPATH=str(tmp_path)) as daemon:
        url = daemon.url()
        series_start = 'aliyun_vod_api_requests_total{account="a'
        until(lambda: get(f"{url}/metrics").text.count(series_start) == ACCOUNTS, "all accounts to be called")
        started = time.monotonic()
        for path in ("/metrics", "/", "/-/healthy"):
            assert get(f"{url}{path}").status_code == 200
        assert time.monotonic() - started < 5
        started = time.monotonic()
        assert daemon.stop(number) == 0
        assert time.monotonic() - started < 5, "the contract's own limit"
        for word in ("Traceback", "never awaited", "was destroyed", "Warning"):
            assert word not in daemon.logged()
