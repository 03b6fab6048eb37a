"""The page, its stylesheet and the same as JSON → answers; built in a thread, one at a time."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.web.status.choice import ChoiceError, parse
from exporter.web.status.document import document
from exporter.web.status.overview import overview
from exporter.web.status.page import Pages
from exporter.web.status.words import preferred

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from exporter.web.status.choice import Choice
    from exporter.web.status.observed import Observed
    from exporter.web.status.view import View

STATUS_PATH: Final = "/api/v1/status"
# So many wait for their turn, the one whose page is built included; people, who are never so many.
_MOST_WAITING: Final = 32


class Watched(Protocol):
    """Who is looked at."""

    async def status(self) -> Observed:
        """How it stands at this instant."""
        ...


@cache
def _pages(telemetry_path: str) -> Pages:
    """Compiling the template takes as long as all the rest of a start."""
    return Pages(telemetry_path)


def status_routes(watched: Watched, telemetry_path: str, headers: Mapping[str, str]) -> list[Route]:
    """`/`, `/api/v1/status` and the stylesheet, with headers that every answer carries."""
    pages = _pages(telemetry_path)
    # Whoever keeps reloading a page of thousands of rows takes one thread, not all of those that scrapes need.
    one_at_a_time = asyncio.Lock()
    waiting: set[Request] = set()

    async def built(request: Request, choice: Choice, finish: Callable[[View], bytes]) -> bytes:
        if len(waiting) >= _MOST_WAITING:
            raise HTTPException(503, "Too many ask for the page.", {**headers, "Retry-After": "1"})
        waiting.add(request)
        try:
            async with one_at_a_time:
                # Or those who ask and hang up would take the page from all others.
                if await request.is_disconnected():
                    return b""
                observed = await watched.status()
                return await asyncio.to_thread(lambda: finish(overview(observed, choice)))
        finally:
            waiting.remove(request)

    async def page(request: Request) -> Response:
        said = {**headers, "Cache-Control": "no-store", "Vary": "Accept-Language"}
        try:
            choice = parse(request.query_params.multi_items())
            language = choice.lang or preferred(request.headers.get("accept-language"))
            body = await built(request, choice, lambda view: pages.render(view, language))
        except ChoiceError as error:
            text = "".join(f"{problem}\n" for problem in error.problems)
            return PlainTextResponse(text, status_code=400, headers=said)
        return Response(body, media_type="text/html", headers={**said, "Content-Language": language})

    async def status(request: Request) -> Response:
        said = {**headers, "Cache-Control": "no-store"}
        try:
            body = await built(request, parse(request.query_params.multi_items()), document)
        except ChoiceError as error:
            refusal = json.dumps({"errors": error.problems})
            return Response(refusal, status_code=400, media_type="application/json", headers=said)
        return Response(body, media_type="application/json", headers=said)

    async def stylesheet(_request: Request) -> Response:
        said = {**headers, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(pages.stylesheet, media_type="text/css", headers=said)

    return [
        Route("/", page, methods=["GET"]),
        Route(STATUS_PATH, status, methods=["GET"]),
        Route(pages.stylesheet_path, stylesheet, methods=["GET"]),
    ]
