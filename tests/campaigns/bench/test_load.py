"""The load generator against a server with given responses."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.campaigns.bench import load
from tests.campaigns.bench.load import NotWholeError

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = bytes(range(256)) * 4_000  # more than one read
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
WHOLE = GZIP + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@contextlib.contextmanager
def answering(answer: bytes, *, closes: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """A server that sends the same bytes to every request: its port, and the requests of each connection."""
    freshness: list[bytes] = []

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # the client disconnected
            while request := client.recv(65_536):
                freshness.append(request)
                client.sendall(answer)
                if closes:
                    return

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                clients.append(threading.Thread(target=serve, args=(client,)))
                clients[-1].start()

    clients: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listening.getsockname()[1], freshness
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for client in clients:
                client.join()


def test_every_scrape_is_read_completely_over_the_given_connections() -> None:
    with answering(WHOLE) as (port, freshness):
        result = load.load(port, "1.1", connections=3, requests=12, pause=0.0)
    assert (len(result.took), len(result.begun), len(freshness)) == (12, 12, 12)
    assert result.least_bytes == result.most_bytes == len(BODY)
    assert freshness[0].startswith(b"GET /metrics HTTP/1.1\r\n")
    assert b"\r\nAccept-Encoding: gzip\r\n" in freshness[0]


@pytest.mark.parametrize(
    "answer",
    [GZIP.replace(b"1.1", b"1.0") + b"\r\n" + BODY, WHOLE.replace(b"1.1", b"1.0", 1)],
    ids=["without length", "with length"],
)
def test_the_client_reconnects_after_the_server_closes(answer: bytes) -> None:
    with answering(answer, closes=True) as (port, freshness):
        result = load.load(port, "1.0", connections=1, requests=3, pause=0.0)
    assert (result.least_bytes, result.most_bytes, len(freshness)) == (len(BODY), len(BODY), 3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (WHOLE[:-7], "7 bytes of an answer are missing"),
        (WHOLE.replace(b" 200 OK", b" 503 No"), "not an answer in gzip: http/1.1 503"),
        (WHOLE.replace(b"gzip", b"zstd"), "not an answer in gzip"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection instead of answering"),
    ],
)
def test_an_incomplete_response_is_no_measurement(answer: bytes, reason: str) -> None:
    with answering(answer, closes=True) as (port, _), pytest.raises(NotWholeError, match=reason):
        load.load(port, "1.1", connections=2, requests=2, pause=0.0)


def test_the_process_reports_an_error_in_one_sentence() -> None:
    with answering(WHOLE[:-7], closes=True) as (port, _):
        argv = (sys.executable, str(Path(load.__file__)), str(port), "1.1", "1", "1", "0")
        ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "7 bytes of an answer are missing\n")
