"""The forms of a request target, over real sockets, with the real routes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from exporter.web.routes import routes
from tests.web.clients import PATIENCE
from tests.web.harness import prepared, served
from tests.web.test_routes import FakeExporter

if TYPE_CHECKING:
    from pathlib import Path

APP = routes(FakeExporter())
USERS = "basic_auth_users: {ann: $2y$04$kGR5fLdZTDwVEfpwZAGvuuzKfyzjGrBWXW9qTHoXUoc2KYrPb3P7e}\n"


async def send_request_line(port: int, line: str, *, host: str = "Host: exporter") -> tuple[int, dict[str, str], str]:
    """Send a request line; return status, headers and text of the response."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"{line}\r\n{host}\r\nConnection: close\r\n\r\n".encode("latin-1"))
            head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        finally:
            writer.transport.abort()
    status, *fields = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /metrics HTTP/1.1", 200),
        ("GET /metrics?debug=1 HTTP/1.1", 200),
        ("GET /%6Detrics HTTP/1.1", 200),
        ("GET http://exporter/metrics HTTP/1.1", 200),
        ("GET http://another:9985/metrics?debug=1 HTTP/1.1", 200),
        ("GET HTTPS://[::1]:9985/metrics HTTP/1.1", 200),
        ("GET http://exporter/metrics HTTP/1.0", 200),
        ("HEAD http://exporter/metrics HTTP/1.1", 200),
        ("GET http://exporter HTTP/1.1", 200),
        ("GET http://exporter/ HTTP/1.1", 200),
        ("GET http://exporter?lang=zh HTTP/1.1", 200),
        ("POST http://exporter/metrics HTTP/1.1", 405),
        ("POST http://exporter/-/reload HTTP/1.1", 403),
        ("GET http://exporter/nothing HTTP/1.1", 404),
        ("GET http://exporter//metrics HTTP/1.1", 404),
        ("GET //metrics HTTP/1.1", 404),
        ("GET /%2Fmetrics HTTP/1.1", 404),
        ("GET /http://exporter/metrics HTTP/1.1", 404),
        ("GET %2Fmetrics HTTP/1.1", 400),
        ("GET metrics HTTP/1.1", 400),
        ("GET exporter:9985 HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET http:///metrics HTTP/1.1", 400),
        ("GET http:/metrics HTTP/1.1", 400),
        ("GET http://ann:secret@exporter/metrics HTTP/1.1", 400),
        ("GET http://exporter:metrics/metrics HTTP/1.1", 400),
        ("GET ftp://exporter/metrics HTTP/1.1", 400),
        ("GET /metrics#top HTTP/1.1", 400),
        ("GET /metrics?a#top HTTP/1.1", 400),
        ("GET http://exporter/metrics#top HTTP/1.1", 400),
        ("GET ?lang=zh HTTP/1.1", 400),
        ("OPTIONS * HTTP/1.1", 405),
        ("OPTIONS /metrics HTTP/1.1", 405),
        ("CONNECT exporter:9985 HTTP/1.1", 405),
        ("CONNECT /metrics HTTP/1.1", 405),
    ],
)
async def test_every_form_of_a_target_is_answered(line: str, status: int) -> None:
    async with served(None, APP) as (port, _):
        before, headers, body = await send_request_line(port, line)
        after, _, _ = await send_request_line(port, "GET /-/healthy HTTP/1.1")

    assert (before, after) == (status, 200)
    assert headers["x-content-type-options"] == "nosniff"
    assert ("allow" in headers) == (status == 405)
    assert "secret" not in body
    if "/metrics" in line and status == 200 and not line.startswith("HEAD"):
        assert body == "aliyun_vod_media_plays 1\n"


async def test_the_host_of_the_target_overrides_the_host_header() -> None:
    async with served(None) as (port, _):
        status, _, body = await send_request_line(
            port, "GET http://exporter.example/some/path HTTP/1.1", host="Host: other"
        )

    assert (status, body) == (200, "http /some/path\n")


async def test_no_form_of_a_target_bypasses_the_password(tmp_path: Path) -> None:
    async with served(prepared(tmp_path, USERS), APP) as (port, _):
        statuses = {
            target: (await send_request_line(port, f"GET {target} HTTP/1.1"))[0]
            for target in (
                "http://exporter/metrics",
                "http://exporter/-/healthy",
                "http://exporter/-/healthy/../../metrics",
                "http://x/-/healthy/metrics",
                "http://exporter",
            )
        }

    assert list(statuses.values()) == [401, 200, 401, 401, 401]


async def test_below_a_prefix_only_the_health_endpoints_need_no_password(tmp_path: Path) -> None:
    app = routes(FakeExporter(), prefix="/vod")
    async with served(prepared(tmp_path, USERS), app, prefix="/vod") as (port, _):
        statuses = {
            target: (await send_request_line(port, f"GET {target} HTTP/1.1"))[0]
            for target in ("/vod/-/healthy", "/vod/-/ready", "http://x/vod/-/ready", "/-/healthy", "/", "/vod/metrics")
        }

    assert list(statuses.values()) == [200, 200, 200, 401, 401, 401]
