"""Check the heads of requests: reject what h11 accepts and HTTP does not, and reduce every target to a path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import h11

from exporter.web.access.middleware import reject

if TYPE_CHECKING:
    from starlette.responses import PlainTextResponse
    from starlette.types import ASGIApp, Receive, Scope, Send

# The characters of a host and a port (RFC 3986), as Go's net/http checks them.
_HOST: Final = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")
_HEAD_END: Final = re.compile(rb"\n\r?\n")
# As in Apache. h11 would take 50 ms for the 4,000 that fit into 16 KiB.
_MAX_HEADERS: Final = 100
# A user name before the host is not allowed in a request.
_ABSOLUTE: Final = re.compile(
    rb"https?://(?P<host>(?:\[[0-9a-f:.]+\]|[\w.~!$&'()*+,;=%-]+)(?::\d{0,5})?)(?P<path>/.*)?", re.IGNORECASE | re.ASCII
)
# The methods of all routes together.
_ALLOW: Final = {"Allow": "GET, HEAD, POST"}
_CLOSE: Final = {"Connection": "close"}


class RequestParser(h11.Connection):
    """h11 for requests with few headers and no chunked body: what is cheap to send and expensive to parse is rejected.

    No route needs a body. h11 would take a second for each read of chunks that contain one byte each.
    """

    def __init__(self, header_bytes: int) -> None:
        # A head of exactly `header_bytes` is allowed, and no longer incomplete at that size.
        super().__init__(h11.SERVER, header_bytes - 1)
        self._header_bytes = header_bytes

    def readable_bytes(self) -> int:
        """Return how many bytes to pass on next: h11 checks the size of a head only while it is incomplete."""
        # At least one byte, by which h11 notices that a head is too large.
        received = len(self.trailing_data[0]) if self.their_state is h11.IDLE else 0
        return max(1, self._header_bytes - received)

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
        return reject(505, "This server speaks HTTP/1.1.", _CLOSE)
    if not _HOST.fullmatch(dict(scope["headers"]).get(b"host", b"")):
        return reject(400, "Bad request: malformed Host.", _CLOSE)
    return None


def origin_form_only(app: ASGIApp) -> ASGIApp:
    """Wrap an application that knows only paths: every server must also accept `http://host/metrics`."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        raw_path: bytes = scope["raw_path"]
        if scope["method"] == "CONNECT" or (scope["method"] == "OPTIONS" and raw_path == b"*"):
            await reject(405, "Method not allowed.", _ALLOW)(scope, receive, send)
        elif b"#" in raw_path or b"#" in scope["query_string"]:
            await reject(400, "A request has no fragment: leave out # and what follows.")(scope, receive, send)
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
            await reject(400, "The request target must be a path, as in /metrics.")(scope, receive, send)

    return handle
