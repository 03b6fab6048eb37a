"""Every kind of response has the security headers, and does not reveal the server software."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from exporter.errors import ExporterError
from exporter.status.html_page import Pages
from exporter.web.routes import routes
from tests.web.clients import parsed
from tests.web.harness import prepared, served
from tests.web.test_http_connection import connected, rest
from tests.web.test_routes import Answered, FakeExporter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.clients import Answer

USERS = "basic_auth_users: {alice: $2y$04$.Fgpn0JjMq5eJqRWJ.7rFOd6kIsd5uKLTSW.YQXCP1rr0DEOgqHAS}\n"
NO_SCRIPTS = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'"


@dataclass(frozen=True)
class Case:
    """A request for a path, or these bytes, on a front door with this web configuration."""

    status: int
    path: str = "/"
    method: str = "GET"
    web: str = ""
    may_reload: bool = False
    request_before: int = 0

    def request(self) -> bytes:
        return f"{self.method} {self.path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


CASES = {
    "page": Case(200),
    "stylesheet": Case(200, Pages("/metrics").stylesheet_path),
    "status": Case(200, "/api/v1/status"),
    "metrics": Case(200, "/metrics"),
    "head": Case(200, "/metrics", "HEAD"),
    "healthy": Case(200, "/-/healthy"),
    "not ready": Case(503, "/-/ready"),
    "bad question": Case(400, "/?x=<script>"),
    "not found": Case(404, "/<script>"),
    "wrong method": Case(405, "/metrics", "POST"),
    "reload is off": Case(403, "/-/reload", "POST"),
    "reload fails": Case(500, "/-/reload", "POST", may_reload=True),
    "no password": Case(401, "/metrics", web=USERS),
    "too many": Case(429, "/metrics", web="rate_limit: {interval: 1h, burst: 1}\n", request_before=1),
}
WANTED = {"x-content-type-options", "content-security-policy", "referrer-policy"}
TELLING = {"server", "x-powered-by", "via"}


async def answered(case: Case, folder: Path) -> Answer:
    async def reload() -> None:
        raise ExporterError("config.yaml:1:1: <script>")

    app = routes(FakeExporter(waiting=("<script>",)), "/metrics", reload if case.may_reload else None)
    path = prepared(folder, case.web) if case.web else None
    async with served(path, app) as (port, _):
        for _ in range(case.request_before):
            await send(port, case.request())
        return parsed(await send(port, case.request()))


async def send(port: int, request: bytes) -> bytes:
    async with connected(port) as (reader, writer):
        writer.write(request)
        return await rest(reader)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_responses_restrict_what_a_browser_may_do(case: Case, tmp_path: Path) -> None:
    answer = await answered(case, tmp_path)
    assert answer.status == case.status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == f"{NO_SCRIPTS}; frame-ancestors 'none'"
    assert answer.headers["referrer-policy"] == "no-referrer"
    # Only our own pages are HTML, and request data is text in them.
    assert answer.headers["content-type"].startswith("text/html") == (case.path == "/")
    assert b"<script" not in answer.body or answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_responses_do_not_reveal_the_server_software(case: Case, tmp_path: Path) -> None:
    answer = await answered(case, tmp_path)
    assert answer.status == case.status
    assert answer.headers.keys() >= WANTED
    assert TELLING & answer.headers.keys() == set()


class Broken(FakeExporter):
    async def scrape(self, accept: str | None, accept_encoding: str | None) -> Answered:  # noqa: ARG002 - as it is called
        raise RuntimeError("inside")


async def test_an_internal_error_has_the_same_headers_and_reveals_nothing() -> None:
    async with served(None, routes(Broken())) as (port, _):
        answer = parsed(await send(port, Case(500, "/metrics").request()))
    assert (answer.status, answer.body) == (500, b"Internal error; see the log of the exporter.\n")
    assert answer.headers.keys() >= WANTED


@pytest.mark.parametrize(
    ("sent", "web"),
    [
        (b"nonsense\r\n\r\n", ""),
        (b"GET / HTTP/1.1\r\n\r\n", ""),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", ""),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"),
    ],
    ids=["nonsense", "no host", "a head without end", "http on the port of https"],
)
async def test_bytes_that_are_not_http_get_a_plain_400(sent: bytes, web: str, tmp_path: Path) -> None:
    path = prepared(tmp_path, web) if web else None
    async with served(path, routes(FakeExporter())) as (port, _):
        answer = parsed(await send(port, sent))
    assert answer.status == 400
    assert answer.body.rstrip(b"\n") in {
        b"Invalid HTTP request received.",
        b"Client sent an HTTP request to an HTTPS server.",
    }
    assert answer.headers.keys() >= WANTED
    assert TELLING & answer.headers.keys() == set()
