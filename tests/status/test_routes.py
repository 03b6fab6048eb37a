from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette

from exporter.status.routes import status_routes
from tests.status.examples import EVERYTHING, known, observed

if TYPE_CHECKING:
    from starlette.types import Message, Scope

    from exporter.status.model import StatusInput

SEEN = observed(known(1, {"a\ud800": 10**5000, "b": 5e-324, "c": float("inf")}), known(8, {"b": 1}))


@dataclass
class CountingSource:
    """Counts concurrent calls."""

    observed: StatusInput = field(default_factory=lambda: SEEN)
    looking: int = 0
    most: int = 0
    go: asyncio.Event | None = None

    async def status(self) -> StatusInput:
        self.looking += 1
        self.most = max(self.most, self.looking)
        await (self.go.wait() if self.go else asyncio.sleep(0))
        self.looking -= 1
        return self.observed


async def get(path: str, **headers: str) -> httpx.Response:
    app = Starlette(routes=status_routes(CountingSource(), "/scrape", {"X-Every": "answer"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://exporter") as client:
        return await client.get(path, headers=headers)


def refused(text: str) -> Any:
    raise AssertionError(f"{text} is not JSON")


async def test_the_page_is_html_in_the_requested_language_and_is_not_cached() -> None:
    english = await get("/")
    chinese = await get("/", **{"Accept-Language": "zh-CN,zh;q=0.9"})
    selected = await get("/?lang=en", **{"Accept-Language": "zh-CN,zh;q=0.9"})

    assert english.headers["content-type"] == "text/html; charset=utf-8"
    assert (english.headers["cache-control"], english.headers["vary"]) == ("no-store", "Accept-Language")
    assert [answer.headers["content-language"] for answer in (english, chinese, selected)] == ["en", "zh", "en"]
    assert "需要关注" in chinese.text
    assert 'href="./scrape"' in english.text


async def test_the_stylesheet_is_served_at_the_path_in_the_page_and_cached_forever() -> None:
    (path,) = re.findall(r'rel="stylesheet" href="([^"]+)"', (await get("/")).text)

    answer = await get(f"/{path}")

    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await get("/static/page-0000000000000000.css")).status_code == 404


async def test_the_json_is_valid_whatever_the_service_returns() -> None:
    answer = await get("/api/v1/status?media_sort=title")
    document = json.loads(answer.content, parse_constant=refused)

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert [row["media_id"] for row in document["media"]["rows"]] == ["a\ufffd", "b", "c"]
    assert document["media"]["rows"][0]["plays"] > 1e308
    assert (document["slices"]["rows"][1]["play_date"], document["slices"]["rows"][1]["state"]) == (
        "2024-03-23",
        "settled",
    )


async def test_filters_apply_to_page_and_json() -> None:
    document = json.loads((await get("/api/v1/status?state=settled&per_page=1")).content)

    assert (document["slices"]["total"], document["slices"]["pages"], len(document["slices"]["rows"])) == (2, 2, 1)
    assert (await get("/?state=stale")).text.count("No slices match.") == 1


@pytest.mark.parametrize("text", ["page=x&nonsense=1", "account=%00%3Cb%3E"])
async def test_an_invalid_query_string_is_rejected_as_text_and_as_json(text: str) -> None:
    page, status = await get(f"/?{text}"), await get(f"/api/v1/status?{text}")

    assert (page.status_code, status.status_code) == (400, 400)
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert page.text.splitlines() == json.loads(status.content)["errors"]
    assert page.text.isprintable() or page.text.replace("\n", "").isprintable()


async def test_an_error_is_in_the_language_of_the_reader() -> None:
    chinese = await get("/?page=0&lang=zh")
    english = await get("/?page=0&lang=nonsense", **{"Accept-Language": "en"})

    assert chinese.text == "page：'0' 不是 1 到 1000000 之间的整数\n"
    assert english.text.startswith("page: '0' is not a number from 1 to 1000000\n")
    assert [answer.headers["content-language"] for answer in (chinese, english)] == ["zh", "en"]


async def test_the_page_has_fewer_rows_than_the_json() -> None:
    assert json.loads((await get("/api/v1/status")).content)["filters"]["per_page"] == 50
    assert "per_page" not in (await get("/")).text


async def test_every_response_has_the_given_headers() -> None:
    for path in ("/", "/?page=0", "/api/v1/status", "/api/v1/status?page=0"):
        assert (await get(path)).headers["x-every"] == "answer"


async def test_pages_are_built_one_at_a_time() -> None:
    source = CountingSource(observed(known(1, {"a": 1}), queries=[EVERYTHING]))
    app = Starlette(routes=status_routes(source, "/metrics", {}))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://exporter") as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(5)))

    assert [answer.status_code for answer in answers] == [200] * 5
    assert source.most == 1


@pytest.mark.parametrize("path", ["/", "/api/v1/status"])
async def test_too_many_concurrent_requests_for_the_page_get_503_and_retry_after(path: str) -> None:
    go = asyncio.Event()
    source = CountingSource(go=go)
    app = Starlette(routes=status_routes(source, "/metrics", {"X-Every": "answer"}))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://exporter") as client:
        requests = [asyncio.create_task(client.get(path)) for _ in range(40)]
        # Their order is not deterministic, because threads import the implementation.
        answers = asyncio.as_completed(requests)
        busy = [await next(answers) for _ in range(8)]
        go.set()
        served = [await each for each in answers]
        again = await client.get(path)

    assert {answer.status_code for answer in (*served, again)} == {200}
    for answer in busy:
        assert answer.status_code == 503
        assert (answer.headers["retry-after"], answer.headers["x-every"]) == ("1", "answer")


async def test_no_page_is_built_for_a_client_that_has_disconnected() -> None:
    source = CountingSource()
    app = Starlette(routes=status_routes(source, "/metrics", {}))

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        """A disconnected client: sending does nothing."""

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await app(scope, receive, send)

    assert source.most == 0
