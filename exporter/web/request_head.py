"""Reject request heads that HTTP tells servers to reject, or allows them to, and h11 accepts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import h11
from starlette.responses import PlainTextResponse

from exporter.web.access.middleware import HEADERS

if TYPE_CHECKING:
    from starlette.types import Scope

# The characters of a host and a port (RFC 3986), as Go's net/http checks them.
_HOST: Final = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")
_HEAD_END: Final = re.compile(rb"\n\r?\n")
# As in Apache. h11 would take 50 ms for the 4,000 that fit into 16 KiB.
_MAX_HEADERS: Final = 100


class RequestParser(h11.Connection):
    """h11 for requests with few headers and no chunked body: what is cheap to send and expensive to parse is rejected.

    No route needs a body. h11 would take a second for each read of chunks that contain one byte each.
    """

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """Return the next event. Raises RemoteProtocolError."""
        if self.their_state is h11.IDLE:
            received, _ = self.trailing_data
            end = _HEAD_END.search(received)
            head = received[: end.start()] if end else received
            if head.count(b"\n") > _MAX_HEADERS:
                raise h11.RemoteProtocolError("too many headers")
            if b"\ntransfer-encoding" in head.lower():
                raise h11.RemoteProtocolError("the body of a request must have a Content-Length")
        return super().next_event()


def check_head(scope: Scope) -> PlainTextResponse | None:
    """Return the response that rejects a request and closes its connection, or None if the head is valid."""
    if not scope["http_version"].startswith("1."):
        return _rejection(505, "This server speaks HTTP/1.1.")
    if not _HOST.fullmatch(dict(scope["headers"]).get(b"host", b"")):
        return _rejection(400, "Bad request: malformed Host.")
    return None


def _rejection(status: int, text: str) -> PlainTextResponse:
    return PlainTextResponse(f"{text}\n", status_code=status, headers={**HEADERS, "Connection": "close"})
