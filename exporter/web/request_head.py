"""Heads of requests that HTTP says to refuse and h11 lets through: where it is not certain what the client meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse

from exporter.web.access.middleware import HEADERS

if TYPE_CHECKING:
    from starlette.types import Scope

# What a host and a port consist of (RFC 3986), as Go's servers have it.
_HOST: Final = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")


def check_head(scope: Scope) -> PlainTextResponse | None:
    """The answer to a request whose head is refused, after which the connection is closed; None: it is fine."""
    headers = dict(scope["headers"])
    if not scope["http_version"].startswith("1."):
        return _refusal(505, "This server speaks HTTP/1.1.")
    if b"content-length" in headers and b"transfer-encoding" in headers:
        # Whoever stands between the client and us may have gone by the other one (RFC 9112, 6.1).
        return _refusal(400, "Bad request: Content-Length together with Transfer-Encoding.")
    if not _HOST.fullmatch(headers.get(b"host", b"")):
        return _refusal(400, "Bad request: malformed Host.")
    return None


def _refusal(status: int, text: str) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status_code=status, headers={**HEADERS, "Connection": "close"})
