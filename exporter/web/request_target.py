"""The forms of a request target (RFC 9112, section 3.2) → the one with a path alone, or a refusal; knows no route."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from starlette.responses import PlainTextResponse

from exporter.web.access.middleware import HEADERS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

# A user name before the host is no part of a request.
_ABSOLUTE: Final = re.compile(
    rb"https?://(?P<host>(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d{0,5})?)(?P<path>/.*)?", re.IGNORECASE | re.ASCII
)
# What any path here may be asked with.
_ALLOW: Final = "GET, HEAD, POST"


def origin_form_only(app: ASGIApp) -> ASGIApp:
    """Put before an application that knows paths only: every server has to take `http://host/metrics` too."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        raw_path: bytes = scope["raw_path"]
        if scope["method"] == "CONNECT" or (scope["method"] == "OPTIONS" and raw_path == b"*"):
            await _refused(405, "Method not allowed.", {"Allow": _ALLOW})(scope, receive, send)
        elif b"#" in raw_path or b"#" in scope["query_string"]:
            await _refused(400, "A request has no fragment: leave out # and what follows.")(scope, receive, send)
        elif raw_path.startswith(b"/"):
            await app(scope, receive, send)
        elif found := _ABSOLUTE.fullmatch(raw_path):
            path = found["path"] or b"/"
            # The host of the target is the one that counts.
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            headers = [(b"host", found["host"]), *others]
            asked = {**scope, "path": unquote(path.decode("ascii")), "raw_path": path, "headers": headers}
            await app(asked, receive, send)
        else:
            await _refused(400, "Ask for a path, as in /metrics.")(scope, receive, send)

    return answer


def _refused(status: int, text: str, headers: dict[str, str] | None = None) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status_code=status, headers={**HEADERS, **(headers or {})})
