"""The page in a real browser: layout, accessibility, and no requests to other hosts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette

from exporter.core import play_dates
from exporter.core.model import Dimensions
from exporter.errors import ErrorKind, UpstreamError
from exporter.jobs import poll_id
from exporter.simulator.faults import Fault
from exporter.simulator.incidents import collapse
from exporter.simulator.options import SimulatorOptions
from exporter.status.routes import status_routes
from exporter.web.access.middleware import HEADERS
from exporter.web.routes import routes
from exporter.web.server import bound, serving, urls
from tests.e2e.processes import PATIENCE, free_port, get, running, until
from tests.harness import CONFIGURATION, NOON, running_harness
from tests.status.examples import ACCOUNT, EXPECTING, observed, report, weekly

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from playwright.async_api import Browser, BrowserContext, Locator, Page

    from exporter.status.model import StatusInput
    from tests.harness import Harness

pytestmark = [pytest.mark.tool("chromium"), pytest.mark.package("playwright")]

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The folder for new screenshots of the documentation.
PICTURES = os.environ.get("PAGE_PICTURES")

CONFIGURED = (
    CONFIGURATION.replace("name: q,", "name: catalogue, account: main,")
    + "  - {name: month, account: main, media: {top: 20, by: plays}, days_ago: [DAYS], every: 1h}\n".replace(
        "DAYS", ", ".join(map(str, range(30)))
    )
    + "  - {name: campaign, account: second, media: {ids: [nobody-has-this]}, days_ago: [1, 8]}\n"
).replace(
    "queries:\n",
    "  - name: second\n"
    "    endpoint: ENDPOINT\n"
    "    credentials: {access_key_id: simulator, access_key_secret: simulator-secret}\n"
    "    limits: {requests_per_second: 2, calls_per_day: 500}\n"
    "queries:\n",
)
NARROW = Dimensions("Native", "Android", "ap-southeast-5")
DIMENSIONS = "[{}, {terminal_type: [Native, Web]}, {os: [Android, iOS, Windows, macOS, Linux]}]"


@contextlib.asynccontextmanager
async def displayed(harness: Harness, prefix: str) -> AsyncGenerator[str]:
    """The URL of the page of an exporter."""
    with bound(["127.0.0.1:0"]) as sockets:
        async with serving(routes(harness.exporter, prefix=prefix), sockets, prefix=prefix):
            yield urls(sockets)[0]


@contextlib.asynccontextmanager
async def exporter(*faults: Fault, polls: int = 3, prefix: str = "") -> AsyncGenerator[str]:
    """An exporter with some polls, then faults; one video collapses on the compared day."""
    collapsed = SimulatorOptions(incidents=(collapse(0, play_dates.play_date(NOON, 1)),))
    async with running_harness(
        collapsed, text=CONFIGURED, dimensions=DIMENSIONS, days_ago="[0, 1, 2, 8, 9]", expected="true"
    ) as harness:
        for _ in range(polls):
            await harness.poll(later=3600)
        harness.simulator.change(faults=faults)
        if faults:
            await harness.poll(later=3600)
        for query in harness.exporter.queries:
            harness.exporter.states.next_run(poll_id(query.name), harness.clock.at + 0.9 * query.every)
        harness.clock.at += 95
        async with displayed(harness, prefix) as url:
            yield url


@contextlib.asynccontextmanager
async def browser() -> AsyncGenerator[Browser]:
    """Debian's Chromium."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - `make test` has none

    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        await chromium.close()


class Tab:
    """An open page, its console messages and its requests."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.console: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("dialog", lambda dialog: self.console.append(dialog.message))
        page.on("request", lambda request: self.requests.append(request.url))

    async def follow(self, link: Locator) -> None:
        """Click what opens another document, and wait until that is loaded."""
        async with self.page.expect_navigation():
            await link.click()

    async def texts(self, selector: str) -> list[str]:
        return [" ".join(text.split()) for text in await self.page.locator(selector).all_text_contents()]


@contextlib.asynccontextmanager
async def tab(chromium: Browser, url: str, **context: object) -> AsyncGenerator[Tab]:
    opened: BrowserContext = await chromium.new_context(**context)  # type: ignore[arg-type]
    opened.set_default_timeout(1000 * PATIENCE)
    tab = Tab(await opened.new_page())
    await tab.page.goto(url)
    yield tab
    await opened.close()


LOOKS = {
    "wide": {"viewport": {"width": 1280, "height": 1500}, "color_scheme": "light", "locale": "en-US"},
    "dark": {"viewport": {"width": 1280, "height": 1500}, "color_scheme": "dark", "locale": "en-US"},
    "phone": {"viewport": {"width": 390, "height": 1500}, "color_scheme": "light", "locale": "en-US"},
    "chinese": {"viewport": {"width": 1280, "height": 1500}, "color_scheme": "light", "locale": "zh-CN"},
    "narrow": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark", "locale": "zh-CN"},
}


async def inspected(chromium: Browser, url: str, look: str, picture: str) -> None:
    """Check a page: no finding of axe, no overflow, no request to another host, nothing blocked by the browser."""
    # `make test` has none, and it ships no types.
    from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # noqa: PLC0415

    async with tab(chromium, url, **LOOKS[look]) as opened:
        found = await Axe().run(opened.page)
        fits = await opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        if PICTURES:
            await opened.page.screenshot(path=Path(PICTURES) / f"page-{picture}.png")
    assert found.violations_count == 0, found.generate_report()
    assert fits
    assert opened.console == []
    assert {request.startswith((url.partition("?")[0], "data:")) for request in opened.requests} == {True}


async def test_it_is_accessible_on_every_screen_in_both_languages() -> None:
    async with exporter() as url, browser() as chromium:
        for look in LOOKS:
            await inspected(chromium, f"{url}/?per_page=8", look, look)


async def overflowing(chromium: Browser, url: str, language: str) -> dict[int, int]:
    """The screen widths that a page overflows, with its width."""
    found = {}
    async with tab(chromium, f"{url}&lang={language}") as opened:
        for width in (320, 360, 414, 480, 600, 736, 768, 800, 1008, 1009, 1024, 1280, 1920):
            await opened.page.set_viewport_size({"width": width, "height": 780})
            taken = await opened.page.evaluate("document.documentElement.scrollWidth")
            if taken > width:
                found[width] = taken
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_it_fits_every_width_and_is_a_few_screens_of_a_phone(language: str) -> None:
    faults = (Fault("Forbidden.RAM", when={"MediaId": "nobody-has-this"}), Fault("Meter.ServerInternalError", rate=0.2))
    async with exporter() as well, exporter(*faults) as broken, browser() as chromium:
        for url in (f"{well}/?", f"{broken}/?", f"{well}/?days_ago=1", f"{broken}/?sort=state"):
            assert await overflowing(chromium, url, language) == {}, url
        async with tab(chromium, f"{well}/?lang={language}", viewport={"width": 360, "height": 780}) as opened:
            height = await opened.page.evaluate("document.documentElement.scrollHeight")
    assert height < 12 * 780


async def test_it_is_accessible_when_much_is_wrong() -> None:
    faults = (
        Fault("Meter.ReadyTsError", when={"Os": "iOS"}),
        Fault("Meter.ServerInternalError", when={"TerminalType": "Web"}),
        Fault("Forbidden.RAM", when={"MediaId": "nobody-has-this"}),
    )
    async with exporter(*faults, polls=0) as url, browser() as chromium:
        for look in ("wide", "narrow"):
            await inspected(chromium, f"{url}/?per_page=8", look, f"broken-{look}")


async def test_without_scripts_it_filters_turns_pages_and_changes_the_language() -> None:
    async with exporter() as url, browser() as chromium, tab(chromium, url, java_script_enabled=False) as opened:
        page = opened.page
        assert await opened.texts("#attention") == ["! Needs attention"]
        assert not await page.locator("section[aria-labelledby=slices] table").is_visible()

        await page.get_by_label("State").select_option("settled")
        await page.get_by_label("Terminal type").select_option("Web")
        await opened.follow(page.get_by_role("button", name="Apply"))
        assert await page.locator("section[aria-labelledby=slices] table").is_visible()
        states = await opened.texts("section[aria-labelledby=slices] .mark")
        assert states == ["✓ settled"] * 4
        assert await page.get_by_label("Terminal type").input_value() == "Web"

        await page.goto(f"{url}/?per_page=10")
        first = await opened.texts("section[aria-labelledby=media] tbody th code")
        await opened.follow(page.locator("section[aria-labelledby=media]").get_by_role("link", name="Next").first)
        assert page.url == f"{url}/?media_page=2&per_page=10#media"
        second = await opened.texts("section[aria-labelledby=media] tbody th code")
        assert len(first) == len(second) == 10
        assert not set(first) & set(second)

        await opened.follow(page.get_by_role("link", name="中文"))
        assert await opened.texts("#media") == ["媒体"]
        assert await opened.texts("section[aria-labelledby=media] tbody th code") == second


async def test_the_media_that_collapsed_lost_most_of_its_expected_plays() -> None:
    async with exporter() as url, browser() as chromium, tab(chromium, url) as opened:
        (log_text,) = await opened.texts("section[aria-labelledby=attention] li")
        assert re.fullmatch(
            r"Account main: On Sat 2024-03-23, 1 of \d+ media lost more than half of at least 100 expected plays",
            log_text,
        )
        await opened.follow(opened.page.locator("section[aria-labelledby=attention] a"))
        changes = await opened.texts("section[aria-labelledby=media] .fell")
        assert re.fullmatch(r"▼ −[\d,]{5,} \(−[89]\d\s%\)", changes[0])
        assert len(changes) == len(await opened.texts("section[aria-labelledby=media] tbody tr"))
        assert await opened.page.get_by_label("Order of media").input_value() == "lost"

        spark = opened.page.get_by_role("img").first
        assert "unknown days: " in str(await spark.get_attribute("aria-label"))
        box = await spark.bounding_box()
        assert box is not None
        assert box["width"] == 120


@pytest.mark.parametrize("name", ["W" * 64, "超" * 64])
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_longest_names_fit_every_width(name: str, language: str) -> None:
    """Names of accounts and queries have up to 64 characters."""
    account, short = replace(ACCOUNT, name=name), replace(EXPECTING, name="short")
    long = replace(EXPECTING, name=name, account=name)
    failed = report(long, UpstreamError("no", code="X", kind=ErrorKind.OTHER))

    class Named:
        async def status(self) -> StatusInput:
            slices = [*weekly({"m": (1, 200, 200, 200)}, account=name), *weekly({"m": (1, 1, 1, 1)})]
            return observed(*slices, queries=[long, short], accounts=[account, ACCOUNT], reports=[failed])

    app = Starlette(routes=status_routes(Named(), "/metrics", HEADERS))
    with bound(["127.0.0.1:0"]) as sockets:
        async with serving(app, sockets), browser() as chromium:
            for query in ("?", "?sort=state"):
                assert await overflowing(chromium, f"{urls(sockets)[0]}/{query}", language) == {}


NGINX = """
daemon off;
master_process off;
pid FOLDER/pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path FOLDER; proxy_temp_path FOLDER; fastcgi_temp_path FOLDER; uwsgi_temp_path FOLDER;
  scgi_temp_path FOLDER;
  server {
    listen 127.0.0.1:PORT;
    location /stripped/ { proxy_pass STRIPPED/; }
    location /vod/ { proxy_pass KEPT; }
  }
}
"""


@pytest.mark.tool("nginx")
@pytest.mark.parametrize("below", ["stripped", "vod"])
async def test_behind_a_reverse_proxy_every_link_works(below: str, tmp_path: Path) -> None:
    port = free_port()
    async with exporter() as stripped, exporter(prefix="/vod") as kept:
        text = NGINX.replace("FOLDER", str(tmp_path)).replace("PORT", str(port))
        (tmp_path / "nginx.conf").write_text(text.replace("STRIPPED", stripped).replace("KEPT", kept))
        url = f"http://127.0.0.1:{port}/{below}/"
        nginx = str(shutil.which("nginx", path="/usr/sbin:/usr/bin"))
        with running(tmp_path, "nginx", nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")):
            await asyncio.to_thread(until, lambda: get(url).status_code == HTTPStatus.OK, url)
            async with browser() as chromium, tab(chromium, url) as opened:
                page = opened.page
                assert await page.evaluate("getComputedStyle(document.querySelector('.box')).borderLeftWidth") != "0px"
                await page.get_by_label("Order of media").select_option("title")
                await opened.follow(page.get_by_role("button", name="Apply"))
                assert page.url.startswith(f"{url}?")
                assert "media_sort=title" in page.url
                await opened.follow(page.get_by_role("link", name="Next").first)
                assert "media_page=2" in page.url
                await opened.follow(page.get_by_role("link", name="中文"))
                # Without a page, a browser requests an icon at the root, which is not the exporter's.
                assert opened.console == []
                await opened.follow(page.get_by_role("link", name="/metrics").first)
                assert page.url == f"{url}metrics"
                assert "aliyun_vod_media_plays{" in await page.content()
                await page.go_back()
                await opened.follow(page.get_by_role("link", name="/-/ready"))
                assert page.url == f"{url}-/ready"
            assert {request.startswith((url, "data:")) for request in opened.requests} == {True}


async def test_the_first_stop_of_the_keyboard_skips_to_the_content() -> None:
    async with exporter(polls=1) as url, browser() as chromium, tab(chromium, url) as opened:
        await opened.page.keyboard.press("Tab")
        assert await opened.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        await opened.page.keyboard.press("Enter")
        assert await opened.page.evaluate("document.activeElement.id") == "content"


async def test_a_hostile_title_is_only_displayed() -> None:
    title = "<script>alert(1)</script><img src=//evil.example onerror=alert(2)><b>\u202egnol yrev</b> " + "W" * 250
    huge = 123_456_789_012_345
    slices = weekly(
        {"m": (10, huge, huge, huge), title: (5, 5, 5, 5), "new": (huge, None, None, None)}, dimensions=NARROW
    )

    class Hostile:
        async def status(self) -> StatusInput:
            return observed(*slices, queries=[replace(EXPECTING, dimensions=(NARROW,))])

    app = Starlette(routes=status_routes(Hostile(), "/metrics", HEADERS))
    with bound(["127.0.0.1:0"]) as sockets:
        async with serving(app, sockets), browser() as chromium:
            url = urls(sockets)[0]
            for look in ("wide", "narrow"):
                await inspected(chromium, url, look, f"hostile-{look}")
            for language in ("en", "zh"):
                assert await overflowing(chromium, f"{url}/?", language) == {}
