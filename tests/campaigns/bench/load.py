"""Load generator: scrapes one server repeatedly and reports durations; standard library only.

`python load.py PORT VERSION CONNECTIONS REQUESTS PAUSE`: each connection sends its share of the requests one after the
other, with `PAUSE` seconds after each response. It prints one JSON object (`Load`), or an error message on an
incomplete response.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Final

_REQUEST: Final = "GET /metrics HTTP/{version}\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_HEAD_BYTES: Final = 16_384
# All connections read into the same buffer, which stays in the processor's cache: the data is not used.
_BUFFER: Final = memoryview(bytearray(1 << 18))


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a load.

    * `took`, `begun`: seconds of each scrape, and its start (seconds since 1970), in the same order.
    * `seconds`, `cpu_seconds`: of the whole load; `cpu_seconds` is the client's own.
    * `least_bytes`, `most_bytes`: of the bodies.
    """

    took: list[float]
    begun: list[float]
    seconds: float
    cpu_seconds: float
    least_bytes: int
    most_bytes: int


class NotWholeError(Exception):
    """An invalid or incomplete response."""


class Connection:
    """One client that scrapes repeatedly and reconnects if the server closes the connection."""

    def __init__(self, port: int, version: str) -> None:
        self._port = port
        self._request = _REQUEST.format(version=version, port=port).encode()
        self._socket: socket.socket | None = None

    def scrape(self) -> int:
        """One complete scrape; the bytes of its body."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._request)
        head = b""
        while (end := head.find(_HEAD_END)) < 0:
            head += self._more(self._socket)
        got = len(head) - end - len(_HEAD_END)
        head = head[:end].lower()
        if not re.match(rb"http/1\.[01] 200 ", head) or b"\r\ncontent-encoding: gzip" not in head:
            raise NotWholeError(f"not an answer in gzip: {head.decode()}")
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        if length is None:
            return got + self._until_closed(self._socket)
        self._exactly(self._socket, int(length[1]) - got)
        if b"\r\nconnection: close" in head or head.startswith(b"http/1.0"):
            self.close()
        return int(length[1])

    @staticmethod
    def _more(connected: socket.socket) -> bytes:
        more = connected.recv(_HEAD_BYTES)
        if not more:
            raise NotWholeError("the server closed the connection instead of answering")
        return more

    @staticmethod
    def _exactly(connected: socket.socket, missing: int) -> None:
        """Read that many bytes; the kernel waits for them, so that the client needs little CPU."""
        while missing:
            read = connected.recv_into(_BUFFER, min(missing, len(_BUFFER)), socket.MSG_WAITALL)
            if not read:
                raise NotWholeError(f"{missing} bytes of an answer are missing")
            missing -= read

    def _until_closed(self, connected: socket.socket) -> int:
        total = 0
        while read := connected.recv_into(_BUFFER):
            total += read
        self.close()
        return total

    def close(self) -> None:
        """Close the connection; the next scrape opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def load(port: int, version: str, connections: int, requests: int, pause: float) -> Load:
    """Scrape over concurrent connections. Raises NotWholeError for an incomplete response."""
    took: list[float] = []
    begun: list[float] = []
    sizes: set[int] = set()
    wrong: list[str] = []
    lock = threading.Lock()

    def client(share: int) -> None:
        with contextlib.closing(Connection(port, version)) as connection:
            for _ in range(share):
                at, start = time.time(), time.perf_counter()
                try:
                    sizes.add(connection.scrape())
                except (OSError, NotWholeError) as error:
                    wrong.append(str(error))
                    return
                with lock:
                    took.append(time.perf_counter() - start)
                    begun.append(at)
                if pause:
                    time.sleep(pause)

    clients = [threading.Thread(target=client, args=(requests // connections,)) for _ in range(connections)]
    start, cpu = time.perf_counter(), time.process_time()
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    seconds = time.perf_counter() - start
    if wrong:
        raise NotWholeError(wrong[0])
    return Load(took, begun, seconds, time.process_time() - cpu, min(sizes), max(sizes))


def main(argv: list[str]) -> str | None:
    """Print the result, or return the reason of a failure."""
    port, version, connections, requests, pause = argv
    try:
        result = load(int(port), version, int(connections), int(requests), float(pause))
    except NotWholeError as error:
        return str(error)
    sys.stdout.write(json.dumps(asdict(result)))
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
