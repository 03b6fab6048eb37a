"""Responses with the status page and its JSON, built in a thread, one at a time; imported at the first request.

docs/status.md describes the fields of the JSON.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from exporter.safe_text import replace_surrogates
from exporter.status.filters import PAGE_DEFAULTS, FilterError, parse
from exporter.status.formatting import finite
from exporter.status.html_page import Pages
from exporter.status.languages import LANGUAGES, preferred, translated
from exporter.status.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from exporter.status.filters import Filters
    from exporter.status.model import StatusInput
    from exporter.status.views import StatusView

# How many requests may wait, including the one whose response is being built; the page is for people.
_MOST_WAITING: Final = 32

# JSON readers lose digits of larger integers, and Python refuses to format integers of thousands of digits.
_LARGEST: Final = 2**53


class StatusSource(Protocol):
    """What the page needs of the exporter."""

    async def status(self) -> StatusInput:
        """Return the input of the status page at this instant."""
        ...


class StatusResponses:
    """Responses with the page or its JSON, all with `headers`; the page links to `telemetry_path`."""

    def __init__(self, source: StatusSource, telemetry_path: str, headers: Mapping[str, str]) -> None:
        self._source = source
        self._pages = Pages(telemetry_path)
        self._headers = headers
        # A client that keeps reloading a page of thousands of rows uses one thread, and leaves the others to scrapes.
        self._build_lock = asyncio.Lock()
        self._waiting: set[Request] = set()

    async def page(self, request: Request) -> Response:
        """Respond with the page, in the language of the query string or of Accept-Language."""
        headers = {**self._headers, "Cache-Control": "no-store", "Vary": "Accept-Language"}
        wanted = request.query_params.get("lang")
        language = wanted if wanted in LANGUAGES else preferred(request.headers.get("accept-language"))
        try:
            filters = parse(request.query_params.multi_items(), **PAGE_DEFAULTS)
            body = await self._build(request, filters, lambda view: self._pages.render(view, language))
        except FilterError as error:
            text = "".join(f"{translated('problem', problem, language) or problem}\n" for problem in error.problems)
            return PlainTextResponse(text, status_code=400, headers={**headers, "Content-Language": language})
        return Response(body, media_type="text/html", headers={**headers, "Content-Language": language})

    async def status(self, request: Request) -> Response:
        """Respond with the status as JSON."""
        headers = {**self._headers, "Cache-Control": "no-store"}
        try:
            body = await self._build(request, parse(request.query_params.multi_items()), document)
        except FilterError as error:
            errors = json.dumps({"errors": error.problems})
            return Response(errors, status_code=400, media_type="application/json", headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    async def _build(self, request: Request, filters: Filters, finish: Callable[[StatusView], bytes]) -> bytes:
        if len(self._waiting) >= _MOST_WAITING:
            raise HTTPException(503, "Too many requests for the page.", {**self._headers, "Retry-After": "1"})
        self._waiting.add(request)
        try:
            async with self._build_lock:
                # Otherwise clients that disconnect early would block the page for all others.
                if await request.is_disconnected():
                    return b""
                observed = await self._source.status()
                return await asyncio.to_thread(lambda: finish(summarize(observed, filters)))
        finally:
            self._waiting.remove(request)


def document(view: StatusView) -> bytes:
    """Encode a view as UTF-8 JSON, with dates as `2026-11-22` and only finite numbers."""
    fields = asdict(view)
    if not fields["player"]:  # not configured
        del fields["player"]
    return json.dumps(_plain(fields), ensure_ascii=False, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case tuple():
            return [_plain(each) for each in value]
        case str():
            return replace_surrogates(value)
        case int() | float() if isinstance(value, float) or abs(value) > _LARGEST:
            return finite(value)
        case date():
            return value.isoformat()
        case _:
            return value
