from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from exporter.web.routes import routes
from tests.status.examples import observed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import Message, Scope

    from exporter.status.model import StatusInput


@dataclass(frozen=True)
class Answered:
    parts: Iterable[bytes] = (b"aliyun_vod_media_", b"plays 1\n")
    length: int = 25
    content_type: str = "text/plain; version=0.0.4; charset=utf-8"
    content_encoding: str | None = None


@dataclass
class FakeExporter:
    answer: Answered = field(default_factory=Answered)
    waiting: tuple[str, ...] = ()
    requested_formats: list[tuple[str | None, str | None]] = field(default_factory=list)

    async def scrape(self, accept: str | None, accept_encoding: str | None) -> Answered:
        self.requested_formats.append((accept, accept_encoding))
        return self.answer

    def pending_queries(self) -> tuple[str, ...]:
        return self.waiting

    async def status(self) -> StatusInput:
        return observed()


async def request(
    exporter: FakeExporter, path: str, method: str = "GET", *, prefix: str = "", **headers: str
) -> httpx.Response:
    transport = httpx.ASGITransport(routes(exporter, "/metrics", prefix=prefix))
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        return await client.request(method, path, headers=headers)


async def test_a_scrape_gets_the_requested_format() -> None:
    exporter = FakeExporter()

    answer = await request(exporter, "/metrics", **{"Accept": "text/plain", "Accept-Encoding": "identity"})

    assert (answer.status_code, answer.content) == (200, b"aliyun_vod_media_plays 1\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert "content-encoding" not in answer.headers
    assert exporter.requested_formats == [("text/plain", "identity")]


async def test_headers_that_are_sent_in_several_lines_are_one_list() -> None:
    exporter = FakeExporter()
    app = httpx.ASGITransport(routes(exporter, "/metrics"))
    headers = [(name, value) for name in ("Accept", "Accept-Encoding") for value in ("br", "gzip;q=0.5")]
    async with httpx.AsyncClient(transport=app, base_url="http://exporter", headers={}) as client:
        client.headers.clear()
        await client.get("/metrics", headers=headers)
        await client.get("/metrics")
    assert exporter.requested_formats[0] == ("br, gzip;q=0.5", "br, gzip;q=0.5")
    assert exporter.requested_formats[1] == (None, None)


async def test_head_returns_the_length_without_the_body() -> None:
    answer = await request(FakeExporter(), "/metrics", "HEAD")

    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "25")


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/", "/api/v1/status"])
async def test_another_method_is_rejected_with_the_allowed_ones(path: str) -> None:
    answer = await request(FakeExporter(), path, "POST")

    assert answer.status_code == 405
    assert {method.strip() for method in answer.headers["allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/metrics/", "/favicon.ico", "/-/quit", "/%00", "/..%2fetc/passwd"])
async def test_anything_else_is_not_found(path: str) -> None:
    answer = await request(FakeExporter(), path)

    assert (answer.status_code, answer.text) == (
        404,
        "Not found. The paths are /, /metrics, /api/v1/status, /-/healthy, /-/ready, /-/reload.\n",
    )


@pytest.mark.parametrize("prefix", ["/vod", "/monitoring/vod"])
async def test_below_a_prefix_every_path_works_as_without_one(prefix: str) -> None:
    for path in ("/", "/metrics", "/api/v1/status", "/-/healthy", "/-/ready"):
        assert (await request(FakeExporter(), f"{prefix}{path}", prefix=prefix)).status_code == 200
        if path != "/":
            missing = await request(FakeExporter(), path, prefix=prefix)
            assert (missing.status_code, missing.text.partition(",")[0]) == (404, f"Not found. The paths are {prefix}/")
    assert (await request(FakeExporter(), f"{prefix}/-/reload", "POST", prefix=prefix)).status_code == 403


@pytest.mark.parametrize(
    ("prefix", "path", "place"),
    [
        ("/vod", "/", "/vod/"),
        ("/vod", "/vod", "/vod/"),
        ("/a/b", "/", "/a/b/"),
        ("/a/b", "/a/b", "/a/b/"),
        ("/vod", "/?lang=zh&state=stale", "/vod/?lang=zh&state=stale"),
    ],
)
async def test_the_root_and_the_bare_prefix_redirect_to_the_page(prefix: str, path: str, place: str) -> None:
    answer = await request(FakeExporter(), path, prefix=prefix)

    assert answer.status_code == 302
    assert answer.headers["location"].startswith("./")  # a proxy may have stripped another prefix
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert str(answer.url.join(answer.headers["location"])) == f"http://exporter{place}"


async def test_every_link_of_the_page_works_behind_a_proxy_that_strips_a_prefix() -> None:
    for prefix in ("", "/vod", "/monitoring/vod"):
        page = await request(FakeExporter(), f"{prefix}/", prefix=prefix)
        places = re.findall(r' (?:href|action)="([^"#]+)', page.text.replace("&amp;", "&"))
        outside = httpx.URL("https://proxy.example/some/where/")
        assert len(places) > 10
        for place in places:
            seen = outside.join(place)
            if seen.scheme == "data":
                continue
            assert str(seen).startswith(str(outside)), place
            inside = f"{prefix}/{str(seen).removeprefix(str(outside))}"
            assert (await request(FakeExporter(), inside, prefix=prefix)).status_code == 200, place


async def test_only_post_reloads() -> None:
    answer = await request(FakeExporter(), "/-/reload")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_reload_needs_the_lifecycle_flag() -> None:
    answer = await request(FakeExporter(), "/-/reload", "POST")

    assert answer.status_code == 403
    assert answer.text.startswith("Lifecycle API is not enabled.")


async def test_healthy_always_answers() -> None:
    assert (await request(FakeExporter(waiting=("a",)), "/-/healthy")).status_code == 200


async def test_ready_once_every_query_was_polled() -> None:
    waiting = await request(FakeExporter(waiting=("headline", "long tail")), "/-/ready")
    ready = await request(FakeExporter(), "/-/ready")

    assert (waiting.status_code, waiting.text) == (
        503,
        "Not ready: waiting for the first poll of headline, long tail.\n",
    )
    assert (ready.status_code, ready.text) == (200, "aliyun-vod-exporter is ready.\n")


async def test_every_response_has_the_security_headers() -> None:
    for path in ("/", "/?page=0", "/api/v1/status", "/metrics", "/-/ready", "/nothing"):
        answer = await request(FakeExporter(), path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@dataclass(frozen=True)
class Lazy:
    """Parts that record which of them were created."""

    created: list[int] = field(default_factory=list)

    def __iter__(self) -> Iterator[bytes]:
        for number in range(3):
            self.created.append(number)
            yield b"%d\n" % number


async def test_parts_are_created_one_at_a_time_and_for_head_not_at_all() -> None:
    parts = Lazy()
    exporter = FakeExporter(Answered(parts, length=6))

    assert (await request(exporter, "/metrics", "HEAD")).headers["content-length"] == "6"
    assert parts.created == []

    sent: list[tuple[bytes, int]] = []

    async def send(message: Message) -> None:
        if message.get("body"):
            sent.append((message["body"], len(parts.created)))

    async def receive() -> Message:
        raise AssertionError("the application must not wait for the client")

    scope: Scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": [], "query_string": b""}
    await routes(exporter, "/metrics")(scope, receive, send)

    assert sent == [(b"0\n", 1), (b"1\n", 2), (b"2\n", 3)]
