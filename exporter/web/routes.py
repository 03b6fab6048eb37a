"""The routes of the HTTP server; their content comes from a MetricsSource."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from exporter.errors import ExporterError
from exporter.status.routes import STATUS_PATH, status_routes
from exporter.web.access.middleware import HEADERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from exporter.status.model import StatusInput

# After sending this much of a response, yield to the other tasks of the event loop.
YIELD_AFTER_BYTES: Final = 1_048_576


class ScrapeResponse(Protocol):
    """The response to a scrape."""

    @property
    def parts(self) -> Iterable[bytes]:
        """The exposition, compressed according to `content_encoding`; parts may be created while iterating."""
        ...

    @property
    def length(self) -> int:
        """The total size of the parts in bytes."""
        ...

    @property
    def content_type(self) -> str:
        """The format, as the value of the Content-Type header."""
        ...

    @property
    def content_encoding(self) -> str | None:
        """`gzip`, or None if the parts are not compressed."""
        ...


class MetricsSource(Protocol):
    """What the routes need of the exporter."""

    async def scrape(self, accept: str | None, accept_encoding: str | None) -> ScrapeResponse:
        """Return the current exposition in the format and encoding that the request headers prefer."""
        ...

    def pending_queries(self) -> Sequence[str]:
        """Return the queries whose first poll has not ended."""
        ...

    async def status(self) -> StatusInput:
        """Return the input of the status page at this instant."""
        ...


def routes(
    exporter: MetricsSource,
    telemetry_path: str = "/metrics",
    reload: Callable[[], Awaitable[None]] | None = None,
    prefix: str = "",
) -> Starlette:
    """Return the application with `/`, `/api/v1/status`, the telemetry path, `/-/healthy`, `/-/ready` and `/-/reload`.

    `reload` raises ExporterError if the configuration is unchanged; None disables it over HTTP. All paths begin with
    `prefix`, such as `/vod`, to which `/` redirects.
    """

    async def metrics(request: Request) -> Response:
        scraped = await exporter.scrape(_listed(request, "accept"), _listed(request, "accept-encoding"))
        headers = {**HEADERS, "Content-Type": scraped.content_type, "Vary": "Accept, Accept-Encoding"}
        if scraped.content_encoding:
            headers["Content-Encoding"] = scraped.content_encoding
        return _Exposition(scraped, headers)

    async def healthy(_request: Request) -> Response:
        return PlainTextResponse("aliyun-vod-exporter is healthy.\n", headers=HEADERS)

    async def ready(_request: Request) -> Response:
        pending_queries = exporter.pending_queries()
        if pending_queries:
            waiting = f"Not ready: waiting for the first poll of {', '.join(pending_queries)}.\n"
            return PlainTextResponse(waiting, status_code=503, headers=HEADERS)
        return PlainTextResponse("aliyun-vod-exporter is ready.\n", headers=HEADERS)

    async def rejected(_request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):  # pragma: no cover - starlette passes only what is registered below
            raise error
        paths = ("/", telemetry_path, STATUS_PATH, "/-/healthy", "/-/ready", "/-/reload")
        known = ", ".join(f"{prefix}{path}" for path in paths)
        text = {404: f"Not found. The paths are {known}.\n", 405: "Method not allowed.\n"}.get(
            error.status_code, f"{error.detail}\n"
        )
        headers = {**HEADERS, **(error.headers or {})}
        return PlainTextResponse(text, status_code=error.status_code, headers=headers)

    async def failed(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("Internal error; see the log of the exporter.\n", status_code=500, headers=HEADERS)

    app = Starlette(
        routes=[
            Route(f"{prefix}{telemetry_path}", metrics, methods=["GET"]),
            Route(f"{prefix}/-/healthy", healthy, methods=["GET"]),
            Route(f"{prefix}/-/ready", ready, methods=["GET"]),
            Route(f"{prefix}/-/reload", _reloading(reload), methods=["POST"]),
            *status_routes(exporter, telemetry_path, HEADERS, prefix),
            *_redirects(prefix),
        ],
        exception_handlers={HTTPException: rejected, Exception: failed},
    )
    app.router.redirect_slashes = False
    return app


def _listed(request: Request, name: str) -> str | None:
    """Return a header that is a list; sent several times, it is one list in parts."""
    return ", ".join(request.headers.getlist(name)) or None


def _redirects(prefix: str) -> list[Route]:
    """Redirect `/` and the bare prefix to the page; relative, because a proxy may add another prefix."""
    if not prefix:
        return []

    def redirect_to(location: str) -> Callable[[Request], Awaitable[Response]]:
        async def redirect(request: Request) -> Response:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{location}{query}", status_code=302, headers=HEADERS)

        return redirect

    return [
        Route("/", redirect_to(f".{prefix}/"), methods=["GET"]),
        Route(prefix, redirect_to(f"./{prefix.rpartition('/')[2]}/"), methods=["GET"]),
    ]


class _Exposition(Response):
    """A response in parts that many responses share: never joined or copied, each sent after the one before."""

    def __init__(self, scraped: ScrapeResponse, headers: Mapping[str, str]) -> None:
        super().__init__(headers={**headers, "Content-Length": str(scraped.length)})
        self._parts = scraped.parts
        self._length = scraped.length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD" or not self._length:
            await send({"type": "http.response.body", "body": b""})
            return
        sent = since_yield = 0
        for part in self._parts:
            sent += len(part)
            since_yield += len(part)
            more = sent < self._length
            await send({"type": "http.response.body", "body": part, "more_body": more, "shared": True})
            if since_yield >= YIELD_AFTER_BYTES:
                # `send` does not wait if the client is gone or fast; other tasks must run all the same.
                since_yield = 0
                await asyncio.sleep(0)


def _reloading(reload: Callable[[], Awaitable[None]] | None) -> Callable[[Request], Awaitable[Response]]:
    async def reloaded(_request: Request) -> Response:
        if reload is None:
            text = "Lifecycle API is not enabled. Start with --web.enable-lifecycle, or send SIGHUP.\n"
            return PlainTextResponse(text, status_code=403, headers=HEADERS)
        try:
            await reload()
        except ExporterError as error:
            text = f"Failed to reload; the previous configuration is still in use.\n{error}\n"
            return PlainTextResponse(text, status_code=500, headers=HEADERS)
        return PlainTextResponse("The configuration is reloaded.\n", headers=HEADERS)

    return reloaded
