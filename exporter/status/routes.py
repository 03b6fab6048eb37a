"""The paths of the page, its stylesheet and the same as JSON; what answers is imported when somebody looks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from exporter.status.stylesheet import stylesheet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from exporter.status.responses import StatusResponses, StatusSource

STATUS_PATH: Final = "/api/v1/status"


def status_routes(
    watched: StatusSource, telemetry_path: str, headers: Mapping[str, str], prefix: str = ""
) -> list[Route]:
    """`/`, `/api/v1/status` and the stylesheet, below `prefix`, with headers that every answer carries."""
    known: list[StatusResponses] = []
    path, css = stylesheet()

    async def answers() -> StatusResponses:
        if not known:
            # In a thread: imports take as long as many scrapes.
            made = await asyncio.to_thread(_answers, watched, telemetry_path, headers)
            # Others may have looked meanwhile; all take their turns at the same.
            known.append(made)
        return known[0]

    async def page(request: Request) -> Response:
        return await (await answers()).page(request)

    async def status(request: Request) -> Response:
        return await (await answers()).status(request)

    async def styles(_request: Request) -> Response:
        said = {**headers, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(css, media_type="text/css", headers=said)

    return [
        Route(f"{prefix}/", page, methods=["GET"]),
        Route(f"{prefix}{STATUS_PATH}", status, methods=["GET"]),
        Route(f"{prefix}{path}", styles, methods=["GET"]),
    ]


def _answers(watched: StatusSource, telemetry_path: str, headers: Mapping[str, str]) -> StatusResponses:
    """Most exporters are never looked at, and this takes 1 MiB."""
    from exporter.status.responses import StatusResponses  # noqa: PLC0415 - as said

    return StatusResponses(watched, telemetry_path, headers)
