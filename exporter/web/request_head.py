"""Reject ambiguous request heads that HTTP tells servers to reject and h11 accepts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse

from exporter.web.access.middleware import HEADERS

if TYPE_CHECKING:
    from starlette.types import Scope

# The characters of a host and a port (RFC 3986), as Go's net/http checks them.
_HOST: Final = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")


def check_head(scope: Scope) -> PlainTextResponse | None:
    """Return the response that rejects a request and closes its connection, or None if the head is valid."""
    headers = dict(scope["headers"])
    if not scope["http_version"].startswith("1."):
        return _rejection(505, "This server speaks HTTP/1.1.")
    if b"content-length" in headers and b"transfer-encoding" in headers:
        # A proxy in front of us may have used the other of the two headers (RFC 9112, 6.1).
        return _rejection(400, "Bad request: Content-Length together with Transfer-Encoding.")
    if not _HOST.fullmatch(headers.get(b"host", b"")):
        return _rejection(400, "Bad request: malformed Host.")
    return None


def _rejection(status: int, text: str) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status_code=status, headers={**HEADERS, "Connection": "close"})
