"""The routes of the status page, its stylesheet and its JSON; their implementation is imported at the first request."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from exporter.status.stylesheet import stylesheet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from exporter.status.responses import StatusResponses, StatusSource

STATUS_PATH: Final = "/api/v1/status"


def status_routes(
    source: StatusSource, telemetry_path: str, headers: Mapping[str, str], prefix: str = ""
) -> list[Route]:
    """Return the routes `/`, `/api/v1/status` and the stylesheet below `prefix`; every response gets `headers`."""
    loaded: list[StatusResponses] = []
    path, css = stylesheet()

    async def responses() -> StatusResponses:
        if not loaded:
            # In a thread: the imports take as long as many scrapes.
            try:
                created = await asyncio.to_thread(_responses, source, telemetry_path, headers)
            except OSError as error:  # for example: no descriptor is left to open a module
                reason = os.strerror(error.errno or 0)
                raise HTTPException(503, f"The page cannot be loaded: {reason}.", dict(headers)) from None
            # A concurrent request may have created one, too; all requests use the first, and its lock.
            loaded.append(created)
        return loaded[0]

    async def page(request: Request) -> Response:
        return await (await responses()).page(request)

    async def status(request: Request) -> Response:
        return await (await responses()).status(request)

    async def styles(_request: Request) -> Response:
        cached = {**headers, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(css, media_type="text/css", headers=cached)

    return [
        Route(f"{prefix}/", page, methods=["GET"]),
        Route(f"{prefix}{STATUS_PATH}", status, methods=["GET"]),
        Route(f"{prefix}{path}", styles, methods=["GET"]),
    ]


def _responses(source: StatusSource, telemetry_path: str, headers: Mapping[str, str]) -> StatusResponses:
    """Import and create the responses: that takes 1 MiB, and many exporters never show a page."""
    from exporter.status.responses import StatusResponses  # noqa: PLC0415 - see the docstring

    return StatusResponses(source, telemetry_path, headers)
