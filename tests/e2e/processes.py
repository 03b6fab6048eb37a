"""Real processes on loopback: our own commands and Prometheus, started, watched and ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

# Nothing is decided by these: they only end a test that hangs.
PATIENCE = 60.0
GLANCE = 0.1
# A loaded machine is slow, not wrong.
get = partial(httpx.get, timeout=PATIENCE)
patch = partial(httpx.patch, timeout=PATIENCE)


def until(ready: Callable[[], Any], what: str) -> Any:
    """Wait for something that comes true, and give it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if found := ready():
                return found
        time.sleep(GLANCE)
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what}")


@dataclass
class Running:
    """A process and what it has said so far."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def said(self) -> str:
        return self.err.read_text()

    def url(self, pattern: str = r"urls=(\S+)") -> str:
        """Where it listens, once it says so."""
        return str(until(lambda: (found := re.search(pattern, self.said())) and found[1], f"{pattern} in {self.err}"))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit status after a signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def running(folder: Path, name: str, *argv: str, **environ: str) -> Generator[Running]:
    """A program, ended at the end if it still runs."""
    out, err = folder / f"{name}.out", folder / f"{name}.err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(argv, cwd=folder, stdout=stdout, stderr=stderr, env={**os.environ, **environ})
    try:
        yield Running(process, out, err)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@contextlib.contextmanager
def exporter(folder: Path, *argv: str, **environ: str) -> Generator[Running]:
    """One of our commands; PYTHONWARNINGS makes what nobody awaited or closed visible."""
    with running(folder, argv[0], sys.executable, "-X", "dev", "-m", "exporter", *argv, **environ) as process:
        yield process


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@dataclass
class Prometheus:
    """A real Prometheus."""

    url: str

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series of an instant query."""
        answer = get(f"{self.url}/api/v1/query", params={"query": promql}).json()
        assert answer["status"] == "success", answer
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]


@contextlib.contextmanager
def prometheus(folder: Path, target: str) -> Generator[Prometheus]:
    """Scrapes a target every second."""
    port = free_port()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: vod, static_configs: [{{targets: ['{target.removeprefix('http://')}']}}]}}]\n"
    )
    with running(
        folder,
        "prometheus",
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ):
        server = Prometheus(f"http://127.0.0.1:{port}")
        until(lambda: get(f"{server.url}/-/ready").status_code == httpx.codes.OK, "Prometheus to be ready")
        yield server
