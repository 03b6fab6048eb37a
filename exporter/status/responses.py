"""The page and the same as JSON → answers; built in a thread, one at a time. Imported for whoever looks first."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from exporter.status.filters import ROWS_ON_PAGE, FilterError, parse
from exporter.status.html_page import Pages
from exporter.status.json_document import document
from exporter.status.languages import LANGUAGES, preferred
from exporter.status.summary import summarize
from exporter.status.translation import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from exporter.status.filters import Filters
    from exporter.status.model import StatusInput
    from exporter.status.views import StatusView

# So many wait for their turn, the one whose page is built included; people, who are never so many.
_MOST_WAITING: Final = 32


class StatusSource(Protocol):
    """Who is looked at."""

    async def status(self) -> StatusInput:
        """How it stands at this instant."""
        ...


class StatusResponses:
    """Answers with headers that every answer carries; `telemetry_path` is where Prometheus scrapes."""

    def __init__(self, watched: StatusSource, telemetry_path: str, headers: Mapping[str, str]) -> None:
        self._source = watched
        self._pages = Pages(telemetry_path)
        self._headers = headers
        # Whoever keeps reloading a page of thousands of rows takes one thread, not all of those that scrapes need.
        self._build_lock = asyncio.Lock()
        self._waiting: set[Request] = set()

    async def page(self, request: Request) -> Response:
        """The page, in the language that is asked for or read."""
        said = {**self._headers, "Cache-Control": "no-store", "Vary": "Accept-Language"}
        wanted = request.query_params.get("lang")
        language = wanted if wanted in LANGUAGES else preferred(request.headers.get("accept-language"))
        try:
            choice = parse(request.query_params.multi_items(), per_page=ROWS_ON_PAGE)
            body = await self._build(request, choice, lambda view: self._pages.render(view, language))
        except FilterError as error:
            text = "".join(f"{translated('problem', problem, language) or problem}\n" for problem in error.problems)
            return PlainTextResponse(text, status_code=400, headers={**said, "Content-Language": language})
        return Response(body, media_type="text/html", headers={**said, "Content-Language": language})

    async def status(self, request: Request) -> Response:
        """The same as JSON."""
        said = {**self._headers, "Cache-Control": "no-store"}
        try:
            body = await self._build(request, parse(request.query_params.multi_items()), document)
        except FilterError as error:
            refusal = json.dumps({"errors": error.problems})
            return Response(refusal, status_code=400, media_type="application/json", headers=said)
        return Response(body, media_type="application/json", headers=said)

    async def _build(self, request: Request, choice: Filters, finish: Callable[[StatusView], bytes]) -> bytes:
        if len(self._waiting) >= _MOST_WAITING:
            raise HTTPException(503, "Too many ask for the page.", {**self._headers, "Retry-After": "1"})
        self._waiting.add(request)
        try:
            async with self._build_lock:
                # Or those who ask and hang up would take the page from all others.
                if await request.is_disconnected():
                    return b""
                observed = await self._source.status()
                return await asyncio.to_thread(lambda: finish(summarize(observed, choice)))
        finally:
            self._waiting.remove(request)
