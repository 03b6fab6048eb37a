"""Servers of the same series, each a process of its own: nginx, ours, prometheus-client, pushgateway."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from tests.campaigns.bench import machine
from tests.campaigns.bench.load import Load
from tests.campaigns.bench.noon import at_noon
from tests.e2e import processes
from tests.e2e.processes import PATIENCE, free_port, get, until

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.e2e.processes import Running

NGINX, OWN, GAUGES, PUSHGATEWAY = "nginx, static file", "ours", "prometheus-client Gauges", "pushgateway"
ROOT: Final = Path(__file__).parents[3]
_ANYWHERE: Final = "--web.listen-address=127.0.0.1:0"
_LOAD: Final = Path(__file__).with_name("load.py")
_GZIP: Final = {"Accept-Encoding": "gzip"}

_NGINX: Final = """\
daemon off;
master_process off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    default_type "text/plain; version=0.0.4; charset=utf-8";
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder};
        gzip_static always;
    }}
}}
"""
_CONFIGURATION: Final = """\
accounts:
  - name: main
    endpoint: {endpoint}
    credentials: {{access_key_id: simulator, access_key_secret: simulator-secret}}
    limits: {{requests_per_second: 1000, concurrency: 4}}
queries:
  - {{name: everything, media: all, {query}}}
series_limit: 10000000
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server with `/metrics` on a loopback port."""

    name: str
    port: int
    # In HTTP/1.1 prometheus-client and pushgateway send no Content-Length.
    http_version: str = "1.1"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def text(self) -> str:
        """One response, uncompressed."""
        return get(self.url, headers=_GZIP).raise_for_status().text

    def packed(self) -> bytes:
        """One response, compressed as on the wire."""
        with httpx.stream("GET", self.url, headers=_GZIP, timeout=PATIENCE) as answer:
            return b"".join(answer.raise_for_status().iter_raw())

    def load(self, *, connections: int, requests: int, pause: float = 0.0) -> Load:
        """Scrape it from a process of its own. Raises RuntimeError for an incomplete response."""
        argv = (sys.executable, _LOAD, self.port, self.http_version, connections, requests, pause)
        ended = subprocess.run(tuple(map(str, argv)), capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{self.name}: {ended.stderr.strip()}")
        return Load(**json.loads(ended.stdout))


@contextlib.contextmanager
def simulator(folder: Path, *argv: str) -> Generator[str]:
    """The simulated API; its URL."""
    with _running(folder, "simulate", *at_noon("exporter", "simulate", _ANYWHERE, *argv)) as process:
        yield _url(process)


@contextlib.contextmanager
def ours(folder: Path, endpoint: str, query: str) -> Generator[tuple[Server, Running]]:
    """The daemon without storage, after one poll; `query`: further settings of the query, as YAML."""
    (folder / "config.yaml").write_text(_CONFIGURATION.format(endpoint=endpoint, query=query), encoding="utf-8")
    with _running(folder, "serve", *at_noon("exporter", "serve", _ANYWHERE)) as process:
        url = httpx.URL(_url(process))
        until(lambda: get(url.join("/-/ready")).is_success, "the first poll")
        assert url.port is not None, url
        yield Server(OWN, url.port), process


@contextlib.contextmanager
def nginx(folder: Path, packed: bytes) -> Generator[Server]:
    """nginx serving compressed bytes from a file: the upper limit."""
    files, port = folder / "nginx", free_port()
    files.mkdir()
    (files / "metrics.gz").write_bytes(packed)
    # Started by root, the worker would run as a user that may not read the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (files / "nginx.conf").write_text(_NGINX.format(folder=files, port=port, user=user), encoding="utf-8")
    with _running(folder, "nginx", str(machine.program("nginx")), "-p", str(files), "-c", str(files / "nginx.conf")):
        yield _serving(Server(NGINX, port))


@contextlib.contextmanager
def gauges(folder: Path, text: str) -> Generator[Server]:
    """An exporter as written with prometheus-client."""
    port, file = free_port(), folder / "gauges.prom"
    file.write_text(text, encoding="utf-8")
    with _running(
        folder, "gauges", sys.executable, "-m", "tests.campaigns.bench.gauges", str(file), str(port)
    ) as process:
        _url(process)
        yield Server(GAUGES, port, "1.0")


@contextlib.contextmanager
def pushgateway(folder: Path, text: str) -> Generator[Server]:
    """The Go client library with pushed series; it adds the labels `job` and `instance` to each."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    with _running(
        folder, "pushgateway", str(machine.program("prometheus-pushgateway")), f"--web.listen-address={address}"
    ):
        server = _serving(Server(PUSHGATEWAY, port, "1.0"))
        pushed = httpx.put(f"http://{address}/metrics/job/bench", content=text.encode(), timeout=PATIENCE)
        pushed.raise_for_status()
        yield server


@contextlib.contextmanager
def _running(folder: Path, name: str, *argv: str) -> Generator[Running]:
    """Run a program that can import our code from any folder."""
    with processes.running(folder, name, *argv, PYTHONPATH=str(ROOT)) as process:
        yield process


def _url(process: Running) -> str:
    """The URL of a process. Raises RuntimeError with its output if it ends instead."""
    until(lambda: "urls=" in process.logged() or process.process.poll() is not None, "a server to listen")
    if process.process.poll() is not None:
        raise RuntimeError(process.logged())
    return process.url()


def _serving(server: Server) -> Server:
    until(lambda: get(server.url).is_success, f"{server.name} to serve")
    return server


def play_series(text: str) -> str:
    """The lines of an exposition that peers serve too: the series of media, with HELP and TYPE."""
    wanted = re.compile(r"(# (HELP|TYPE) )?aliyun_vod_media_")
    return "".join(line for line in text.splitlines(keepends=True) if wanted.match(line))


def count(text: str) -> int:
    """The number of media series of an exposition."""
    return len(re.findall(r"^aliyun_vod_media_\w+\{", text, re.MULTILINE))
