from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import pytest

from exporter.web.pages import QueryStatus, Status
from exporter.web.routes import routes


@dataclass(frozen=True)
class Answered:
    body: bytes = b"aliyun_vod_media_plays 1\n"
    content_type: str = "text/plain; version=0.0.4; charset=utf-8"
    content_encoding: str | None = None


@dataclass
class FakeExporter:
    answer: Answered = field(default_factory=Answered)
    waiting: tuple[str, ...] = ()
    queries: tuple[QueryStatus, ...] = ()
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)

    async def scrape(self, accept: str | None, accept_encoding: str | None) -> Answered:
        self.asked.append((accept, accept_encoding))
        return self.answer

    def awaited(self) -> tuple[str, ...]:
        return self.waiting

    def status(self) -> Status:
        return Status("1.2.3", 1_711_000_000.0, 42, self.queries)


async def request(exporter: FakeExporter, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(routes(exporter, "/metrics"))
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        return await client.request(method, path, headers=headers)


async def test_a_scrape_is_answered_in_the_format_it_asks_for() -> None:
    exporter = FakeExporter()

    answer = await request(exporter, "/metrics", **{"Accept": "text/plain", "Accept-Encoding": "identity"})

    assert (answer.status_code, answer.content) == (200, b"aliyun_vod_media_plays 1\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert "content-encoding" not in answer.headers
    assert exporter.asked == [("text/plain", "identity")]


async def test_head_tells_the_length_without_the_body() -> None:
    answer = await request(FakeExporter(), "/metrics", "HEAD")

    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "25")


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/"])
async def test_another_method_is_refused_with_those_allowed(path: str) -> None:
    answer = await request(FakeExporter(), path, "POST")

    assert answer.status_code == 405
    assert {method.strip() for method in answer.headers["allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/metrics/", "/favicon.ico", "/-/reload", "/%00", "/..%2fetc/passwd"])
async def test_anything_else_is_not_found(path: str) -> None:
    answer = await request(FakeExporter(), path)

    assert (answer.status_code, answer.text) == (404, "Not found. There is /, /metrics, /-/healthy, /-/ready.\n")


async def test_healthy_while_it_lives() -> None:
    assert (await request(FakeExporter(waiting=("a",)), "/-/healthy")).status_code == 200


async def test_ready_once_every_query_was_polled() -> None:
    waiting = await request(FakeExporter(waiting=("headline", "long tail")), "/-/ready")
    ready = await request(FakeExporter(), "/-/ready")

    assert (waiting.status_code, waiting.text) == (
        503,
        "Not ready: waiting for the first poll of headline, long tail.\n",
    )
    assert (ready.status_code, ready.text) == (200, "aliyun-vod-exporter is ready.\n")


async def test_the_page_links_everything_and_shows_the_state() -> None:
    queries = (
        QueryStatus("headline", "main", "success", 1_711_000_000.0, 1_711_000_900.0),
        QueryStatus("<script>", "main", None, None, None),
    )

    answer = await request(FakeExporter(queries=queries), "/")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for expected in (
        'href="/metrics"',
        'href="/-/healthy"',
        'href="/-/ready"',
        "Version 1.2.3",
        "publishing 42 series",
    ):
        assert expected in answer.text
    assert "<td>headline</td><td>main</td><td>2024-03-21 05:46:40 UTC</td><td>success</td>" in answer.text
    assert "<script>" not in answer.text
    assert "waiting for the first poll" in answer.text


async def test_every_answer_carries_the_headers_that_browsers_should_obey() -> None:
    for path in ("/", "/metrics", "/-/ready", "/nothing"):
        answer = await request(FakeExporter(), path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
