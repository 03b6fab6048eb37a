"""Paths → answers; what they say comes from the Protocol it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.pages import index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from exporter.web.pages import Status

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Scraped(Protocol):
    """The answer to a scrape."""

    @property
    def body(self) -> bytes:
        """The exposition, compressed where `encoding` says so."""
        ...

    @property
    def content_type(self) -> str:
        """The format, for the header of that name."""
        ...

    @property
    def content_encoding(self) -> str | None:
        """`gzip`, or None for plain."""
        ...


class Exporter(Protocol):
    """What the front door shows."""

    async def scrape(self, accept: str | None, accept_encoding: str | None) -> Scraped:
        """Everything that is known now, in the format that was asked for."""
        ...

    def awaited(self) -> Sequence[str]:
        """The queries that were not yet polled to their end."""
        ...

    def status(self) -> Status:
        """The state at a glance."""
        ...


def routes(exporter: Exporter, telemetry_path: str = "/metrics") -> Starlette:
    """The application: `/`, the telemetry path, `/-/healthy` and `/-/ready`."""

    async def metrics(request: Request) -> Response:
        scraped = await exporter.scrape(request.headers.get("accept"), request.headers.get("accept-encoding"))
        headers = {**HEADERS, "Content-Type": scraped.content_type, "Vary": "Accept, Accept-Encoding"}
        if scraped.content_encoding:
            headers["Content-Encoding"] = scraped.content_encoding
        return Response(scraped.body, headers=headers)

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("aliyun-vod-exporter is healthy.\n", headers=HEADERS)

    async def ready(_request: Request) -> Response:
        awaited = exporter.awaited()
        if awaited:
            waiting = f"Not ready: waiting for the first poll of {', '.join(awaited)}.\n"
            return PlainTextResponse(waiting, status_code=503, headers=HEADERS)
        return PlainTextResponse("aliyun-vod-exporter is ready.\n", headers=HEADERS)

    async def page(_request: Request) -> Response:
        return Response(index(exporter.status(), telemetry_path), media_type="text/html", headers=HEADERS)

    async def refused(_request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):  # pragma: no cover - starlette hands over what is registered below
            raise error
        known = f"/, {telemetry_path}, /-/healthy, /-/ready"
        text = {404: f"Not found. There is {known}.\n", 405: "Method not allowed.\n"}.get(
            error.status_code, f"{error.detail}\n"
        )
        headers = {**HEADERS, **(error.headers or {})}
        return PlainTextResponse(text, status_code=error.status_code, headers=headers)

    app = Starlette(
        routes=[
            Route(telemetry_path, metrics, methods=["GET"]),
            Route("/-/healthy", healthy, methods=["GET"]),
            Route("/-/ready", ready, methods=["GET"]),
            Route("/", page, methods=["GET"]),
        ],
        exception_handlers={HTTPException: refused},
    )
    app.router.redirect_slashes = False
    return app
