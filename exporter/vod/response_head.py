"""Read the head of an HTTP response, strictly by HTTP/1.1: a proxy may parse an invalid one differently."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from exporter.vod import network_errors

if TYPE_CHECKING:
    from exporter.vod.tcp_stream import Stream

LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a status line with its headers."""

_BEGIN: Final = b"HTTP/"
_END: Final = b"\r\n\r\n"
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})( [^\r\n\0]*)?")
_HEADER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*")
_CHUNKED: Final = b"transfer-encoding"
_LENGTHS: Final = frozenset({b"content-length", _CHUNKED})
_BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")


async def read_head(stream: Stream) -> bytes | None:
    """Take the next head from the stream; None if the stream ends before its first byte. Raises NetworkError."""
    received, scanned = stream.received, 0
    while (end := received.find(_END, scanned)) < 0 and len(received) <= LARGEST_HEAD:
        _check_begin(received)
        _check_line_ends(received)
        scanned = max(0, len(received) - len(_END))
        if not await stream.more():
            if not received:
                return None
            raise network_errors.closed("in the middle of the headers")
    if not 0 <= end <= LARGEST_HEAD:
        raise network_errors.no_http(f"its head is longer than {LARGEST_HEAD} bytes")
    head = bytes(received[: end + len(_END)])
    del received[: end + len(_END)]
    _check(head)
    return head


def status_of(head: bytes) -> int:
    """The HTTP status in a head that `read_head` returned."""
    return int(head[9:12])


def _check_begin(head: bytes | bytearray) -> None:
    """Reject another protocol at its first bytes: its server may wait for more, up to the timeout."""
    if not head.startswith(_BEGIN[: len(head)]):
        raise network_errors.no_http("its status line is not that of HTTP/1.1")


def _check_line_ends(head: bytes | bytearray) -> None:
    if _BARE_LINE_FEED.search(head):
        raise network_errors.no_http("a line of its head ends with a line feed alone")


def _check(head: bytes) -> None:
    _check_line_ends(head)
    status_line, *headers = head[: -len(_END)].split(b"\r\n")
    if not _STATUS_LINE.fullmatch(status_line):
        raise network_errors.no_http("its status line is not that of HTTP/1.1")
    for line in headers:
        if not _HEADER_LINE.fullmatch(line):
            folded = line[:1] in (b" ", b"\t")
            raise network_errors.no_http("a header is folded" if folded else "a line of its head is not a header")
    # A proxy that uses the other of the two would read a part of the body as the next response (RFC 9112, 6.3).
    lengths = {line.partition(b":")[0].lower() for line in headers} & _LENGTHS
    if len(lengths) > 1:
        raise network_errors.no_http("it has both Content-Length and Transfer-Encoding")
    if _CHUNKED in lengths and status_line.startswith(b"HTTP/1.0"):
        raise network_errors.no_http("it is HTTP/1.0, which has no Transfer-Encoding")
