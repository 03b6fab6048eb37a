"""Data that arrives before a connection is open: before the certificate is read, or before its turn."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
import uvicorn
from OpenSSL import SSL
from uvicorn.server import ServerState

from exporter.web.access.live_config import LiveWebConfig
from exporter.web.connection_limits import ConnectionLimits
from exporter.web.connection_tracker import ConnectionTracker
from exporter.web.http_connection import HttpConnection
from tests.campaigns.fuzz.http_connection import Wire
from tests.web.clients import PATIENCE
from tests.web.harness import APP, prepared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
LIMITS = ConnectionLimits()


@pytest.fixture
def web_access(tmp_path: Path) -> Iterator[LiveWebConfig]:
    rules = LiveWebConfig(prepared(tmp_path, TLS))
    yield rules
    rules.close()


async def made(web_access: LiveWebConfig) -> tuple[HttpConnection, Wire]:
    config = uvicorn.Config(APP, interface="asgi3", ws="none", log_config=None, access_log=False, lifespan="off")
    config.load()
    loop = asyncio.get_running_loop()
    wire = Wire(loop)
    connection = HttpConnection(
        config, ServerState(), {}, loop, tracker=ConnectionTracker(LIMITS), web_access=web_access
    )
    wire.protocol = connection
    connection.connection_made(wire)
    return connection, wire


async def until_written(wire: Wire) -> bytes:
    async with asyncio.timeout(PATIENCE):
        while not wire.written:
            await asyncio.sleep(0)
    written = bytes(wire.written)
    wire.written.clear()
    return written


def hello(ciphers: bytes = b"DEFAULT") -> tuple[SSL.Connection, bytes]:
    """A client, and the first bytes of its handshake."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(ciphers)
    client = SSL.Connection(context, None)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    return client, client.bio_read(65_536)


async def request_of(client: SSL.Connection, wire: Wire) -> bytes:
    """The rest of the handshake, and a request."""
    client.bio_write(await until_written(wire))
    client.do_handshake()
    client.send(REQUEST)
    return client.bio_read(65_536)


async def response_to(client: SSL.Connection, wire: Wire) -> bytes:
    async with asyncio.timeout(PATIENCE):
        while not wire.closed:
            await asyncio.sleep(0)
    client.bio_write(bytes(wire.written))
    return client.recv(65_536)


async def test_a_handshake_that_starts_before_the_certificate_is_read_continues(web_access: LiveWebConfig) -> None:
    connection, wire = await made(web_access)
    client, first = hello()
    connection.data_received(first)
    connection.data_received(await request_of(client, wire))
    assert (await response_to(client, wire)).startswith(b"HTTP/1.1 200 OK")


async def test_each_flight_of_a_handshake_waits_for_its_turn(web_access: LiveWebConfig) -> None:
    connection, wire = await made(web_access)
    tracker = connection._tracker  # noqa: SLF001 - no client can see whose turn it is
    client, first = hello()
    connection.data_received(first)
    flight = await request_of(client, wire)
    while not tracker.turns.take():
        await asyncio.sleep(0)
    connection.data_received(flight[:100])
    connection.data_received(flight[100:])
    state: object = connection.cycle
    assert state is None, "the request is not read yet"
    assert (await response_to(client, wire)).startswith(b"HTTP/1.1 200 OK")


async def test_connections_of_a_program_are_of_one_group_whatever_they_send_later(web_access: LiveWebConfig) -> None:
    groups = []
    for ciphers in (b"DEFAULT", b"DEFAULT", b"ECDHE+AESGCM"):
        connection, wire = await made(web_access)
        client, data = hello(ciphers)
        connection.data_received(data)
        first = connection.group
        connection.data_received(await request_of(client, wire))
        await until_written(wire)
        assert connection.group == first
        groups.append(first)
    assert groups[0] == groups[1] != groups[2]
    assert groups[0].network == groups[2].network == "127.0.0.1"


@pytest.mark.parametrize("piece", [1, 7, len(REQUEST)])
async def test_a_plain_request_in_pieces_to_a_tls_port_gets_an_explanation(
    web_access: LiveWebConfig, piece: int
) -> None:
    connection, wire = await made(web_access)
    for begin in range(0, len(REQUEST), piece):
        connection.data_received(REQUEST[begin : begin + piece])
    assert b"Client sent an HTTP request to an HTTPS server." in await until_written(wire)
    assert wire.closed


@pytest.mark.parametrize(
    ("data", "response"), [(REQUEST, b"Client sent an HTTP request to an HTTPS server."), (b"\x16\x03\x01", b"")]
)
async def test_a_client_that_sends_too_much_before_the_handshake_is_disconnected(
    web_access: LiveWebConfig, data: bytes, response: bytes
) -> None:
    connection, wire = await made(web_access)
    connection.data_received(data + bytes(LIMITS.header_bytes))
    assert wire.closed
    assert response in wire.written
    connection.data_received(b"and more")
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others)
    assert wire.written.count(b"HTTP/1.0 400") == bool(response)


async def test_a_client_that_disconnects_before_the_certificate_is_read_leaves_nothing(
    web_access: LiveWebConfig,
) -> None:
    connection, wire = await made(web_access)
    connection.data_received(b"\x16\x03\x01")
    wire.close()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    assert wire.written == b""
