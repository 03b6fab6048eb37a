"""A server on loopback with a web configuration and a fixed application."""

from __future__ import annotations

import contextlib
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from exporter.web.access.live_config import LiveWebConfig
from exporter.web.server import bound, serving
from tests.web import pki

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from starlette.requests import Request

    from exporter.web.connection_limits import ConnectionLimits

TESTDATA = Path(__file__).parent / "testdata"
HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'"}


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.url.scheme} {request.url.path}\n", headers=HEADERS)


APP = Starlette(routes=[Route("/{anything:path}", hello)])


def prepared(folder: Path, text: str) -> Path:
    """Write a web configuration beside test certificates; INLINE(file) is replaced by the text of a file."""
    for place in (folder, folder / "sub"):
        place.mkdir(exist_ok=True)
        pki.write(place)
    text = re.sub(r"INLINE\((.*?)\)", lambda found: json.dumps((folder / found[1]).read_text()), text)
    path = folder / "web.yml"
    path.write_text(text)
    return path


@contextlib.asynccontextmanager
async def served(
    path: Path | None,
    app: Starlette = APP,
    limits: ConnectionLimits | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    prefix: str = "",
) -> AsyncGenerator[tuple[int, LiveWebConfig | None]]:
    """Serve an application; yield the port and the live web configuration."""
    web_access = LiveWebConfig(path) if path else None
    with bound(["127.0.0.1:0"]) as sockets:
        async with serving(app, sockets, web_access=web_access, limits=limits, monotonic=monotonic, prefix=prefix):
            yield sockets[0].getsockname()[1], web_access
    if web_access:
        web_access.close()
