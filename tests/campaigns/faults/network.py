"""Faults of connections and of HTTP, before a response can be read."""

from __future__ import annotations

import gzip
import zlib
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from tests.campaigns.faults.fault import ConnectionFault, Family, Fault
from tests.campaigns.faults.service import to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.campaigns.faults.fault import Exchange, Payload

_CONNECT: Final = ("connect", "transport")
_TIMEOUT: Final = ("timeout", "transport")
_MALFORMED: Final = ("malformed", "malformed")
_LARGE: Final = 100 * 1024 * 1024
_CHUNK: Final = b" " * 262_144
_DRIP_SECONDS: Final = 4.0


async def _break(exchange: Exchange, *, head: bytes = b"", share: float | None = None, reset: bool) -> None:
    """The start of a response, then the connection ends."""
    await exchange.raw(head if share is None else _begun(exchange, share))
    if reset:
        exchange.reset()
    else:
        exchange.close()


async def _stall(exchange: Exchange, *, head: bytes = b"", share: float | None = None) -> None:
    """The start of a response, then nothing."""
    await exchange.raw(head if share is None else _begun(exchange, share))
    await exchange.stall()


def _begun(exchange: Exchange, share: float) -> bytes:
    """The headers of the correct response and a share of its body."""
    body = to_json(exchange.payload)
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: int(len(body) * share)]


async def _drip(exchange: Exchange) -> None:
    """A byte every few seconds, each within the read timeout."""
    await exchange.raw(_begun(exchange, 0))
    await exchange.drip(b" ", _DRIP_SECONDS)


async def _raw(exchange: Exchange, *, data: bytes) -> None:
    await exchange.raw(data)
    exchange.close()


async def _wrapped(exchange: Exchange, *, head: str) -> None:
    """The correct body after invalid headers."""
    body = to_json(exchange.payload)
    await exchange.raw(head.format(len(body)).encode() + body)
    exchange.close()


async def _nothing(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 204 No Content\r\n\r\n")


async def _redirect(exchange: Exchange, *, status: int) -> None:
    await exchange.send(f"{status} Moved", {"Location": "/elsewhere"}, b"")


async def _send_endlessly(exchange: Exchange, *, status: str, announced: bool) -> None:
    """Megabytes, as long as the client reads them."""
    length = b"Content-Length: %d" % _LARGE if announced else b"Connection: close"
    await exchange.raw(b"HTTP/1.1 %b\r\n%b\r\n\r\n" % (status.encode(), length))
    for _ in range(_LARGE // len(_CHUNK)):
        await exchange.raw(_CHUNK)
    exchange.close()


@cache
def _bomb() -> bytes:
    """Blanks that compress to a thousandth of their size."""
    deflate = zlib.compressobj(9, wbits=31)
    return b"".join([*(deflate.compress(_CHUNK) for _ in range(_LARGE // len(_CHUNK))), deflate.flush()])


async def _zipped(exchange: Exchange, *, spoil: Callable[[bytes], bytes], status: str = "200 OK") -> None:
    await exchange.send(status, {"Content-Encoding": "gzip"}, spoil(gzip.compress(to_json(exchange.payload), 1)))


async def _right(exchange: Exchange, *, headers: dict[str, str], zipped: bool = False) -> Payload:
    """The correct response with other framing or encoding."""
    body = to_json(exchange.payload)
    await exchange.send("200 OK", headers, gzip.compress(body, 1) if zipped else body)
    return exchange.payload


async def _chunked(exchange: Exchange) -> Payload:
    body = to_json(exchange.payload)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    await exchange.raw(head + b"7\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:7], len(body) - 7, body[7:]))
    return exchange.payload


async def _until_closed(exchange: Exchange) -> Payload:
    await exchange.raw(b"HTTP/1.0 200 OK\r\n\r\n" + to_json(exchange.payload))
    exchange.close()
    return exchange.payload


async def _encoded(exchange: Exchange) -> None:
    await exchange.send("200 OK", {"Content-Encoding": "x-cipher"}, bytes(~b & 255 for b in to_json(exchange.payload)))


def _fault(
    name: str,
    counted: tuple[str, str] | None,
    act: Callable[[Exchange], Awaitable[Payload | None]],
    *,
    attempts: int = 4,
    stalls: bool = False,
    large: bool = False,
    unanswered: bool = False,
) -> Fault:
    return Fault(name, Family.NETWORK, counted, attempts, act, stalls=stalls, large=large, unanswered=unanswered)


def _connection_fault(connection_fault: ConnectionFault, *, tls: bool = False, name: str = "") -> Fault:
    silent = connection_fault is ConnectionFault.SILENT
    counted = _TIMEOUT if silent else _CONNECT
    called = name or connection_fault.value
    called = f"TLS: {called}" if tls else f"connection: {called}"
    return Fault(called, Family.NETWORK, counted, 4, connection_fault=connection_fault, stalls=silent, tls=tls)


def faults() -> tuple[Fault, ...]:
    """All of them."""
    head, half_head = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"
    stages = [
        _fault("reset before the headers", _CONNECT, partial(_break, reset=True), unanswered=True),
        _fault("reset within the headers", _CONNECT, partial(_break, head=half_head, reset=True)),
        _fault("reset after the headers", _CONNECT, partial(_break, head=head, reset=True)),
        _fault("reset in the body", _CONNECT, partial(_break, share=0.5, reset=True)),
        _fault("closed before the headers", _CONNECT, partial(_break, reset=False), unanswered=True),
        _fault("closed within the headers", _CONNECT, partial(_break, head=half_head, reset=False)),
        _fault("closed after the headers", _CONNECT, partial(_break, head=head, reset=False)),
        _fault("closed in the body", _CONNECT, partial(_break, share=0.99, reset=False)),
        _fault("stalled before the headers", _TIMEOUT, _stall, stalls=True),
        _fault("stalled within the headers", _TIMEOUT, partial(_stall, head=half_head), stalls=True),
        _fault("stalled after the headers", _TIMEOUT, partial(_stall, share=0), stalls=True),
        _fault("stalled in the body", _TIMEOUT, partial(_stall, share=0.9), stalls=True),
        _fault("a byte now and then", _TIMEOUT, _drip, stalls=True),
    ]
    http = [
        _fault("not HTTP", _MALFORMED, partial(_raw, data=b"SSH-2.0-OpenSSH_9.2\r\n\r\n")),
        _fault("two lengths", _MALFORMED, partial(_raw, data=head[:-2] + b"Content-Length: 5\r\n\r\n")),
        _fault("a length below zero", _MALFORMED, partial(_raw, data=head.replace(b"900", b"-9"))),
        _fault("headers without end", _MALFORMED, partial(_raw, data=head[:-2] + b"X: " + b"x" * 1_000_000)),
        _fault(
            "chunks that change",
            _MALFORMED,
            partial(_raw, data=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        ),
        *(
            _fault(f"redirect {status}", (f"http_{status}", "other"), partial(_redirect, status=status), attempts=1)
            for status in (301, 302, 307, 308)
        ),
        _fault("no content", _MALFORMED, _nothing),
        _fault("line feeds alone", _MALFORMED, partial(_wrapped, head="HTTP/1.1 200 OK\nContent-Length: {}\n\n")),
        _fault(
            "a folded header",
            _MALFORMED,
            partial(_wrapped, head="HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: {}\r\n\r\n"),
        ),
        _fault("HTTP/2.0", _MALFORMED, partial(_wrapped, head="HTTP/2.0 200 OK\r\nContent-Length: {}\r\n\r\n")),
        _fault("206", _MALFORMED, partial(_wrapped, head="HTTP/1.1 206 Part\r\nContent-Length: {}\r\n\r\n")),
        _fault("203", _MALFORMED, partial(_wrapped, head="HTTP/1.1 203 Changed\r\nContent-Length: {}\r\n\r\n")),
    ]
    bodies = [
        _fault("100 MB announced", _MALFORMED, partial(_send_endlessly, status="200 OK", announced=True), large=True),
        _fault(
            "100 MB unannounced", _MALFORMED, partial(_send_endlessly, status="200 OK", announced=False), large=True
        ),
        _fault(
            "an error of 100 MB",
            ("http_500", "server"),
            partial(_send_endlessly, status="500 No", announced=True),
            large=True,
        ),
        _fault("gzip bomb", _MALFORMED, partial(_zipped, spoil=lambda _: _bomb()), large=True),
        _fault("not gzip", _MALFORMED, partial(_zipped, spoil=lambda _: b"plain")),
        _fault("truncated gzip", _MALFORMED, partial(_zipped, spoil=lambda packed: packed[: len(packed) // 2])),
        _fault("damaged gzip", _MALFORMED, partial(_zipped, spoil=lambda packed: packed[:-8] + b"\0" * 8)),
        _fault("an unknown encoding", _MALFORMED, _encoded),
        _fault("right but called HTML", None, partial(_right, headers={"Content-Type": "text/html"}), attempts=1),
        _fault("right but called an image", None, partial(_right, headers={"Content-Type": "image/png"}), attempts=1),
        _fault("right and gzip", None, partial(_right, headers={"Content-Encoding": "gzip"}, zipped=True), attempts=1),
        _fault("right and chunked", None, _chunked, attempts=1),
        _fault(
            "right and x-gzip", None, partial(_right, headers={"Content-Encoding": "x-gzip"}, zipped=True), attempts=1
        ),
        _fault("right with a header of 9 kB", None, partial(_right, headers={"X-Long": "x" * 9_000}), attempts=1),
        _fault("right until closed", None, _until_closed, attempts=1),
    ]
    connections = [
        *(
            _connection_fault(t)
            for t in (
                ConnectionFault.REFUSED,
                ConnectionFault.CLOSED,
                ConnectionFault.RESET,
                ConnectionFault.SILENT,
                ConnectionFault.UNKNOWN_NAME,
            )
        ),
        *(
            _connection_fault(t, tls=True)
            for t in (
                ConnectionFault.UNTRUSTED,
                ConnectionFault.EXPIRED,
                ConnectionFault.MISNAMED,
                ConnectionFault.PLAIN,
                ConnectionFault.GARBAGE,
            )
        ),
        _connection_fault(ConnectionFault.CLOSED, tls=True, name="closed in the handshake"),
        _connection_fault(ConnectionFault.RESET, tls=True, name="reset in the handshake"),
        _connection_fault(ConnectionFault.SILENT, tls=True, name="stalled in the handshake"),
    ]
    return (*stages, *http, *bodies, *connections)
