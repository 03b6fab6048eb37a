"""Serves prepared pages over TLS on loopback from a process of its own, so that they cost the clients no CPU.

It reads only the page number of a request and does not check signatures.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import selectors
import signal
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import trustme

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

PAGE_SIZE: Final = 100
_PAGE_NO: Final = re.compile(rb"[?&]PageNo=(\d+)")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_END: Final = b"\r\n\r\n"
_SAME: Final = b"25818875"
_NUMBERS: Final = itertools.count()


@contextlib.contextmanager
def serving(pages: int, latency: float, directory: Path) -> Generator[tuple[str, Path]]:
    """Serve a result set of that many full pages; yields `host:port` and the certificate authority to trust (a PEM
    file).

    A page has other numbers at every request. `latency`: seconds before each response; the certificate is
    written to the directory.
    """
    authority, certificate, chain = trustme.CA(), directory / "server.pem", directory / "authority.pem"
    authority.cert_pem.write_to_path(str(chain))
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(certificate), str(pages), str(latency)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("the server of pages did not start: see what it wrote above")
        yield f"127.0.0.1:{port}", chain
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def page(number: int, pages: int, more: int = 0) -> bytes:
    """One full page as the service writes it, about 25 kB; its media are on no other page.

    `more` is added to the plays.
    """
    first = (number - 1) * PAGE_SIZE
    rows = [
        {
            "MediaId": f"{media:032x}",
            "VideoTitle": f"第{media}集：一个不长也不短的标题",
            "VideoDuration": 246.5,
            "DAU": 5_000_000 - media + more,
            "PlaySuccessVv": 9_000_000 - media + more,
            "PlayPerVv": 1.8 + more / 100,
            "PlayDuration": 1_080_000_000 - media * 120 + more,
            "PlayDurationPerUv": 216.25 + more / 100,
        }
        for media in range(first, first + PAGE_SIZE)
    ]
    payload = {
        "RequestId": f"25818875-5F78-4AF6-D739-{number:012X}",
        "TotalCount": pages * PAGE_SIZE,
        "PageNo": number,
        "PageSize": PAGE_SIZE,
        "QoeInfoList": rows,
    }
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


class _Connection(asyncio.Protocol):
    """One request after the other; each response is delayed by the latency."""

    def __init__(self, replies: Sequence[Iterator[bytes]], latency: float) -> None:
        self._replies = replies
        self._latency = latency
        self._read = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (head := self._read.find(_END)) >= 0:
            length = _LENGTH.search(self._read, 0, head + 2)
            end = head + len(_END) + (int(length[1]) if length else 0)
            if len(self._read) < end:
                return
            page_no = _PAGE_NO.search(self._read, 0, head)
            self._read = self._read[end:]
            # Each request gets its own ID, as from the service.
            reply = next(self._replies[int(page_no[1]) - 1 if page_no else 0]).replace(
                _SAME, b"%08X" % next(_NUMBERS), 1
            )
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._write, reply)
            else:
                self._write(reply)

    def _write(self, reply: bytes) -> None:
        if self._transport is not None:
            self._transport.write(reply)


def _reply(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=utf-8\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


async def _serve(certificate: str, pages: int, latency: float) -> None:
    replies = [
        itertools.cycle([_reply(page(number, pages)), _reply(page(number, pages, more=1))])
        for number in range(1, pages + 1)
    ]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    server = await loop.create_server(lambda: _Connection(replies, latency), "127.0.0.1", 0, ssl=context)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await done.wait()
    server.close()


if __name__ == "__main__":
    # epoll waits whole milliseconds, rounded up: a latency of 30 would be 31.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(_serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
