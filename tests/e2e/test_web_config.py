"""The web configuration of a running daemon: scraped by Prometheus over TLS while certificates and users change."""

from __future__ import annotations

import os
import ssl
import threading
from typing import TYPE_CHECKING, Final, Self

import bcrypt
import httpx
import pytest

from tests.e2e.processes import PATIENCE, exporter, prometheus_with, until
from tests.web import pki

if TYPE_CHECKING:
    from pathlib import Path

LISTEN: Final = "--web.listen-address=127.0.0.1:0"
KEYS: Final = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "simulator", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-secret"}
CONFIGURATION: Final = """
accounts: [{{name: main, endpoint: {endpoint}}}]
queries: [{{name: q, media: all, days_ago: [0, 1]}}]
"""
TLS: Final = """
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
basic_auth_users:
"""
PROMETHEUS: Final = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: vod
    scheme: https
    tls_config: {{ca_file: {folder}/ca.crt, cert_file: {folder}/client.crt, key_file: {folder}/client.key}}
    basic_auth: {{username: prometheus, password: constant}}
    static_configs: [{{targets: ['{target}']}}]
"""


def users(**passwords: str) -> str:
    return "".join(
        f"  {name}: {bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()}\n"
        for name, password in passwords.items()
    )


def replace(folder: Path, target: str, content: bytes | str) -> None:
    """Replace a file atomically, as certificate tools do."""
    (folder / "new").write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "new").rename(folder / target)


class Scraper:
    """Scrapes continuously in a thread, each time on a new connection."""

    def __init__(self, url: str, folder: Path) -> None:
        self.user = ("first", "one")
        self.statuses: list[int] = []
        self.failed: list[str] = []
        self._url = url
        self._context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._context.load_cert_chain(folder / "client.crt", folder / "client.key")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def several(self) -> None:
        """Wait for scrapes that start after now."""
        there = len(self.statuses) + len(self.failed)
        until(lambda: len(self.statuses) + len(self.failed) >= there + 3, "scrapes")

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                answer = httpx.get(f"{self._url}/metrics", auth=self.user, verify=self._context, timeout=PATIENCE)
                self.statuses.append(answer.status_code)
            except httpx.HTTPError as error:
                self.failed.append(repr(error))


@pytest.mark.tool("prometheus")
def test_certificates_and_passwords_are_replaced_under_a_running_scraper(tmp_path: Path) -> None:
    pki.write(tmp_path)
    constant = users(prometheus="constant")
    replace(tmp_path, "web.yml", TLS + constant + users(first="one"))
    with exporter(tmp_path, "simulate", LISTEN) as simulator:
        (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint=simulator.url()))
        with exporter(tmp_path, "serve", LISTEN, "--web.config.file=web.yml", **KEYS) as daemon:
            url = daemon.url()
            assert url.startswith("https://")
            target = url.removeprefix("https://")
            with (
                prometheus_with(tmp_path, PROMETHEUS.format(folder=tmp_path, target=target)) as server,
                Scraper(url, tmp_path) as scraper,
            ):
                until(lambda: server.query("up == 1"), "the first scrape by Prometheus")
                scraper.several()
                # A certificate, replaced as two files: between the two steps they do not match.
                other = pki.issued()["other"]
                replace(tmp_path, "server.key", other.key_pem())
                scraper.several()
                replace(tmp_path, "server.crt", other.cert_pem)
                scraper.several()
                # A broken file.
                replace(tmp_path, "web.yml", TLS + "  first: one\n")
                scraper.several()
                # A password: the new one beside the old one, then alone.
                both = users(second="two")
                replace(tmp_path, "web.yml", TLS + constant + users(first="one") + both)
                scraper.several()
                scraper.user = ("second", "two")
                scraper.several()
                replace(tmp_path, "web.yml", TLS + constant + both)
                scraper.several()
                before = server.query("count_over_time(up[10m])")[0][1]
                until(lambda: server.query("count_over_time(up[10m])")[0][1] >= before + 4, "scrapes by Prometheus")
                # A scrape may have timed out once on a loaded machine; none is rejected now.
                until(lambda: server.query("up == 1"), "the last scrape by Prometheus")
            assert scraper.failed == []
            assert set(scraper.statuses) == {200}
            displayed = ssl.get_server_certificate(("127.0.0.1", int(target.rpartition(":")[2])))
            assert displayed.encode() == other.cert_pem
            assert daemon.stop() == 0
        log_text = daemon.logged()
    assert log_text.count("web configuration rejected") == 2
    assert "does not belong to the certificate" in log_text
    assert "basic_auth_users.first: is not a bcrypt hash" in log_text
    for secret in ("$2b$", "PRIVATE", "constant", "Traceback"):
        assert secret not in log_text


def test_an_emptied_file_or_a_pipe_neither_opens_access_nor_blocks(tmp_path: Path) -> None:
    web = tmp_path / "web.yml"
    web.write_text(f"basic_auth_users:\n{users(first='one')}")
    (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint="http://127.0.0.1:1"))
    with exporter(tmp_path, "serve", LISTEN, "--web.config.file=web.yml", **KEYS) as daemon:
        metrics_url = f"{daemon.url()}/metrics"

        def statuses() -> list[int]:
            return [
                httpx.get(metrics_url, auth=user, timeout=PATIENCE).status_code for user in (None, ("first", "one"))
            ]

        assert statuses() == [401, 200]
        web.write_text("")
        assert statuses() == [401, 200]
        web.unlink()
        os.mkfifo(web)
        assert statuses() == [401, 200]
        assert daemon.stop() == 0
    log_text = daemon.logged()
    assert log_text.count("passwords and client certificates can be dropped only by a restart") == 1
    assert log_text.count("it is not a regular file") == 1
    assert "Traceback" not in log_text


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_an_unusable_file_is_rejected_at_the_start_with_every_reason(tmp_path: Path, command: str) -> None:
    (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint="http://127.0.0.1:1"))
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: a.crt}\nrate_limits: {}\n")
    listen = [LISTEN] if command == "serve" else []
    with exporter(tmp_path, command, *listen, "--web.config.file=web.yml", **KEYS) as process:
        assert process.process.wait(PATIENCE) == 2
        first, second = process.logged().splitlines()
        assert first == "web.yml:1:20: tls_server_config: needs key_file, or key with the PEM text itself"
        assert second.startswith("web.yml:2:1: 'rate_limits' is not a setting here (allowed: tls_server_config, ")


def test_check_config_says_that_a_file_is_valid(tmp_path: Path) -> None:
    pki.write(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIGURATION.format(endpoint="http://127.0.0.1:1"))
    (tmp_path / "web.yml").write_text(TLS + users(prometheus="constant"))
    with exporter(tmp_path, "check-config", "--web.config.file=web.yml", **KEYS) as process:
        assert process.process.wait(PATIENCE) == 0
        assert process.out.read_text().startswith("web.yml: valid\nconfig.yaml: valid\n")
