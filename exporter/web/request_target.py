"""Convert every form of a request target (RFC 9112, section 3.2) to the origin form, or reject it; knows no routes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from starlette.responses import PlainTextResponse

from exporter.web.access.middleware import HEADERS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# A user name before the host is not allowed in a request.
_ABSOLUTE: Final = re.compile(
    rb"https?://(?P<host>(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d{0,5})?)(?P<path>/.*)?", re.IGNORECASE | re.ASCII
)
# The methods of all routes together.
_ALLOW: Final = "GET, HEAD, POST"


def origin_form_only(app: ASGIApp) -> ASGIApp:
    """Wrap an application that knows only paths: every server must also accept `http://host/metrics`."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        raw_path: bytes = scope["raw_path"]
        if scope["method"] == "CONNECT" or (scope["method"] == "OPTIONS" and raw_path == b"*"):
            await _rejection(405, "Method not allowed.", {"Allow": _ALLOW})(scope, receive, send)
        elif b"#" in raw_path or b"#" in scope["query_string"]:
            await _rejection(400, "A request has no fragment: leave out # and what follows.")(scope, receive, send)
        elif raw_path.startswith(b"/"):
            await app(scope, receive, send)
        elif found := _ABSOLUTE.fullmatch(raw_path):
            path = found["path"] or b"/"
            # The host of the target is the one that counts.
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            headers = [(b"host", found["host"]), *others]
            rewritten = {**scope, "path": unquote(path.decode("ascii")), "raw_path": path, "headers": headers}
            await app(rewritten, receive, send)
        else:
            await _rejection(400, "The request target must be a path, as in /metrics.")(scope, receive, send)

    return handle


def _rejection(status: int, text: str, headers: dict[str, str] | None = None) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status_code=status, headers={**HEADERS, **(headers or {})})
