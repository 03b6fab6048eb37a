"""Listening sockets passed as by systemd, and a watched configuration file."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.processes import PATIENCE, Running, free_port, get, running, until
from tests.web import pki

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

KEYS = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
# Nothing listens there: polls do not matter here.
CONFIGURATION = """
accounts: [{name: main, endpoint: 'http://127.0.0.1:1'}]
queries: [{name: NAME, media: all}]
"""
SERVE = (sys.executable, "-X", "dev", "-m", "exporter", "serve")


def configure(folder: Path, name: str = "q") -> None:
    (folder / "config.yaml").write_text(CONFIGURATION.replace("NAME", name))


# Duplicates the socket to the descriptor that systemd uses, then executes the daemon.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextlib.contextmanager
def activated(folder: Path, listening: socket.socket, *flags: str) -> Generator[Running]:
    """The daemon with a socket as descriptor 3, as systemd starts it."""
    number = listening.fileno()
    out, err = folder / "serve.out", folder / "serve.err"
    argv = [sys.executable, "-c", HAND_OVER, str(number), *SERVE, "--web.systemd-socket", *flags]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            argv, cwd=folder, stdout=stdout, stderr=stderr, env={**os.environ, **KEYS}, pass_fds=(number,)
        )
    try:
        yield Running(process, out, err)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_it_serves_on_the_socket_it_was_given_and_leaves_it_open(tmp_path: Path) -> None:
    configure(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = "http://{}:{}".format(*listening.getsockname())
        with activated(tmp_path, listening, "--web.listen-address=127.0.0.1:1") as daemon:
            assert daemon.url() == url
            assert get(f"{url}/-/healthy").status_code == 200
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.logged()
        # Between two daemons a scrape waits instead of failing.
        waiting = socket.create_connection(listening.getsockname(), timeout=PATIENCE)
        waiting.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with activated(tmp_path, listening) as daemon:
            assert waiting.recv(1024).startswith(b"HTTP/1.1 200 ")
            assert daemon.stop() == 0
        waiting.close()


def test_tls_works_on_it_too(tmp_path: Path) -> None:
    configure(tmp_path)
    pki.write(tmp_path)
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        activated(tmp_path, listening, "--web.config.file=web.yml") as daemon,
    ):
        url = daemon.url()
        assert url == "https://{}:{}".format(*listening.getsockname())
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
        assert httpx.get(f"{url}/-/healthy", verify=trust, timeout=PATIENCE).status_code == 200
        assert daemon.stop() == 0


@pytest.mark.tool("systemd-socket-activate")
def test_systemd_s_own_program_starts_it_at_the_first_connection(tmp_path: Path) -> None:
    configure(tmp_path)
    address = f"127.0.0.1:{free_port()}"
    environ = [f"--setenv={name}={value}" for name, value in KEYS.items()]
    argv = ("systemd-socket-activate", f"--listen={address}", *environ, *SERVE, "--web.systemd-socket")
    with running(tmp_path, "serve", *argv) as daemon:
        until(lambda: "Listening on" in daemon.logged(), "systemd-socket-activate to listen")
        assert get(f"http://{address}/-/healthy").status_code == 200
        assert daemon.url() == f"http://{address}"
        assert daemon.stop() == 0


def test_without_systemd_it_says_what_is_missing(tmp_path: Path) -> None:
    configure(tmp_path)
    with running(tmp_path, "serve", *SERVE, "--web.systemd-socket", **KEYS) as daemon:
        assert daemon.process.wait(PATIENCE) == 1
        assert daemon.logged().startswith(
            "aliyun-vod-exporter: --web.systemd-socket: systemd has passed no sockets (LISTEN_FDS is not set). Start it"
        )


def test_a_changed_configuration_is_reloaded_and_an_invalid_one_is_logged_once(tmp_path: Path) -> None:
    configure(tmp_path, "before")
    watched = ("--config.enable-auto-reload", "--config.auto-reload-interval=1s")
    with running(tmp_path, "serve", *SERVE, "--web.listen-address=127.0.0.1:0", *watched, **KEYS) as daemon:
        metrics = f"{daemon.url()}/metrics"
        until(lambda: 'query_up{account="main",query="before"}' in get(metrics).text, "the first poll")
        (tmp_path / "config.yaml").write_text("queries: [{name: q}]\n")
        until(lambda: "config_last_reload_successful 0" in get(metrics).text, "the refusal")
        configure(tmp_path, "after")
        until(lambda: 'query_up{account="main",query="after"}' in get(metrics).text, "the reload")
        body = get(metrics).text
        assert "config_last_reload_successful 1" in body
        assert 'query="before"' not in body
        assert daemon.stop() == 0
        log_text = daemon.logged()
    assert log_text.count("configuration not reloaded") == 1
    assert log_text.count('msg="configuration reloaded"') == 1
    assert "Traceback" not in log_text
