"""Real processes on loopback: the exporter's commands, Prometheus and Alertmanager."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

# These only end a test that hangs.
PATIENCE = 300.0
GLANCE = 0.1
# A loaded machine is slow, not wrong.
# httpx would read all certificate authorities for each request, 40 ms of CPU; plain HTTP needs none.
NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
get = partial(httpx.get, timeout=PATIENCE, verify=NO_AUTHORITIES)
patch = partial(httpx.patch, timeout=PATIENCE, verify=NO_AUTHORITIES)
post = partial(httpx.post, timeout=PATIENCE, verify=NO_AUTHORITIES)


def until(ready: Callable[[], Any], what: str) -> Any:
    """Wait until a condition is true, and return its value."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if found := ready():
                return found
        time.sleep(GLANCE)
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what}")


@dataclass
class Running:
    """A process and its output so far."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def logged(self) -> str:
        return self.err.read_text()

    def url(self, pattern: str = r"urls=(\S+)") -> str:
        """The URL that it listens on, once it is logged."""
        return str(until(lambda: (found := re.search(pattern, self.logged())) and found[1], f"{pattern} in {self.err}"))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def running(folder: Path, name: str, *argv: str, **environ: str) -> Generator[Running]:
    """Run a program; it is killed at the end if it still runs."""
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
    """Run one of our commands; PYTHONWARNINGS reveals resources that are not awaited or closed."""
    with running(folder, argv[0], sys.executable, "-X", "dev", "-m", "exporter", *argv, **environ) as process:
        yield process


def free_port() -> int:
    """A port that nothing listens on, outside the range of ephemeral ports."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _until_ready(process: Running, url: str) -> None:
    """Wait until a server is ready; raises with its output if it ended."""

    def ready() -> bool:
        assert process.process.poll() is None, process.logged()
        return get(f"{url}/-/ready").status_code == httpx.codes.OK

    until(ready, f"{url} to be ready")


@dataclass
class Prometheus:
    """A real Prometheus."""

    url: str

    def query(self, promql: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series of an instant query."""
        answer = get(f"{self.url}/api/v1/query", params={"query": promql}).json()
        assert answer["status"] == "success", answer
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def cpu_seconds(self) -> float:
        """Processor time of the process so far."""
        own = get(f"{self.url}/metrics").text
        return float(own.partition("\nprocess_cpu_seconds_total ")[2].split()[0])


@contextlib.contextmanager
def prometheus(folder: Path, target: str) -> Generator[Prometheus]:
    """Scrapes a target every second."""
    configuration = (
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: vod, static_configs: [{{targets: ['{target.removeprefix('http://')}']}}]}}]\n"
    )
    with prometheus_with(folder, configuration) as server:
        yield server


@contextlib.contextmanager
def prometheus_with(folder: Path, configuration: str, *flags: str) -> Generator[Prometheus]:
    """Run Prometheus with a configuration; its data stay in the folder."""
    port = free_port()
    (folder / "prometheus.yml").write_text(configuration)
    with running(
        folder,
        "prometheus",
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ) as process:
        server = Prometheus(f"http://127.0.0.1:{port}")
        _until_ready(process, server.url)
        yield server


@dataclass
class Alertmanager:
    """A real Alertmanager."""

    url: str

    def tell(self, alerts: list[dict[str, Any]]) -> None:
        """Send alerts as Prometheus does: labels, annotations, startsAt, endsAt."""
        post(f"{self.url}/api/v2/alerts", json=alerts).raise_for_status()

    def alerts(self, *matchers: str) -> list[dict[str, Any]]:
        """Its alerts, with `status.state` (active or suppressed) and `status.inhibitedBy`."""
        answer: list[dict[str, Any]] = get(f"{self.url}/api/v2/alerts", params={"filter": list(matchers)}).json()
        return answer


@contextlib.contextmanager
def alertmanager(folder: Path, configuration: str, program: str = "prometheus-alertmanager") -> Generator[Alertmanager]:
    """Run a single Alertmanager, without a cluster."""
    port = free_port()
    (folder / "alertmanager.yml").write_text(configuration)
    with running(
        folder,
        "alertmanager",
        program,
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ) as process:
        server = Alertmanager(f"http://127.0.0.1:{port}")
        _until_ready(process, server.url)
        yield server


@dataclass
class Webhook:
    """A receiver of notifications."""

    url: str
    received: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextlib.contextmanager
def webhook() -> Generator[Webhook]:
    """Accept notifications on any path."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notification = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.paths.append(self.path)
            hook.received.append(notification)
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Do not log: the notifications are in `received`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        hook = Webhook(f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": GLANCE})
        thread.start()
        try:
            yield hook
        finally:
            server.shutdown()
            thread.join()
