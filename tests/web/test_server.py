from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from exporter.errors import StartError
from exporter.web.listen_addresses import parse_address
from exporter.web.server import bound, serving, urls
from tests.web.clients import PATIENCE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":9985", ("", 9985)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:80", ("localhost", 80)),
        ("[::1]:9985", ("::1", 9985)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65535)),
        ("[]:1", ("", 1)),
        ("[0::0]:1", ("::", 1)),
        ("[0:0:0:0:0:0:0:0]:1", ("::", 1)),
        ("[::FFFF:127.0.0.1]:1", ("127.0.0.1", 1)),
        ("[::ffff:0.0.0.0]:1", ("0.0.0.0", 1)),  # noqa: S104 - an address to parse
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "9985", ":", ":99999", "::1:9985", "host:port", "http://x:1", "a b:1", ":-1"])
def test_an_invalid_address_is_a_clear_error(text: str) -> None:
    with pytest.raises(StartError, match="is not an address: write HOST:PORT"):
        bound([text]).__enter__()


def test_a_port_in_use_is_a_clear_error_and_leaves_nothing_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        port, spare = taken.getsockname()[1], free.getsockname()[1]
        free.close()

        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use. Choose"):
            bound([f"127.0.0.1:{spare}", f"127.0.0.1:{port}"]).__enter__()

        with bound([f"127.0.0.1:{spare}"]) as sockets:
            assert len(sockets) == 1


def test_an_unknown_host_is_a_clear_error() -> None:
    with pytest.raises(StartError, match=r"cannot listen on 203\.0\.113\.7:1: "):
        bound(["203.0.113.7:1"]).__enter__()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EADDRINUSE, "stop what uses it"),
        (errno.EACCES, "Choose a port from 1024 on"),
        (errno.EADDRNOTAVAIL, "Name an address of this machine"),
    ],
)
def test_the_advice_depends_on_why_it_cannot_listen(number: int, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_server(*_: object, **__: object) -> socket.socket:
        raise OSError(number, "raw text")

    monkeypatch.setattr(socket, "create_server", create_server)
    with pytest.raises(StartError, match=advice):
        bound(["127.0.0.1:80"]).__enter__()


@pytest.mark.parametrize("name", ["a..b", "x" * 64])
def test_what_is_no_host_name_is_an_error_without_a_codecs_text(name: str) -> None:
    with pytest.raises(StartError, match=r"not a name of a host\. Name an address of this machine"):
        bound([f"{name}:0"]).__enter__()


def test_a_bare_port_listens_on_every_address_and_port_0_is_resolved() -> None:
    with bound([":0"]) as sockets:
        port = sockets[0].getsockname()[1]
        assert urls(sockets) == [f"http://127.0.0.1:{port}"]
        socket.create_connection(("127.0.0.1", port)).close()


def both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve localhost as on a machine whose /etc/hosts lists it twice, IPv6 first."""
    original = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *rest: int, **settings: int) -> list[Any]:
        if host != "localhost":
            return original(host, port, *rest, **settings)
        return [found for address in ("::1", "127.0.0.1") for found in original(address, port, *rest, **settings)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("address", [":0", "[::]:0", "[]:0", "localhost:0"])
def test_both_address_families_share_one_port(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    both_families(monkeypatch)
    with bound([address]) as sockets:
        (port,) = {listening.getsockname()[1] for listening in sockets}
        assert f"http://127.0.0.1:{port}" in urls(sockets)
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port)).close()


def no_ipv6(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """As on a machine whose kernel has IPv6 switched off."""
    made = socket.create_server

    def create_server(address: Any, *, family: int = socket.AF_INET, **settings: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(code, os.strerror(code))
        return made(address, family=family, **settings)

    monkeypatch.setattr(socket, "create_server", create_server)


@pytest.mark.parametrize("code", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
@pytest.mark.parametrize("address", [":0", "[::]:0", "localhost:0"])
def test_without_ipv6_the_same_addresses_listen_on_ipv4(
    address: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_families(monkeypatch)
    no_ipv6(monkeypatch, code)
    with bound([address]) as sockets:
        (port,) = {listening.getsockname()[1] for listening in sockets}
        assert urls(sockets) == [f"http://127.0.0.1:{port}"]


def test_without_ipv6_an_ipv6_address_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    no_ipv6(monkeypatch, errno.EADDRNOTAVAIL)
    with pytest.raises(StartError, match=r"cannot listen on \[::1\]:0: Cannot assign requested address"):
        bound(["[::1]:0"]).__enter__()


def test_a_port_in_use_for_one_address_family_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    both_families(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for address in (f":{port}", f"[::]:{port}", f"localhost:{port}"):
            with pytest.raises(StartError, match="Address already in use"):
                bound([address]).__enter__()


def test_the_url_of_an_ipv6_only_socket_has_an_ipv6_address() -> None:
    with socket.socket(socket.AF_INET6) as listening:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(("::", 0))
        assert urls([listening]) == [f"http://[::1]:{listening.getsockname()[1]}"]


def test_ipv6_is_written_in_brackets() -> None:
    with socket.socket(socket.AF_INET6) as listening:
        listening.bind(("::1", 0))
        assert urls([listening]) == [f"http://[::1]:{listening.getsockname()[1]}"]


async def test_responses_in_flight_are_finished_before_the_server_stops() -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def slow(_request: object) -> PlainTextResponse:
        started.set()
        await go.wait()
        return PlainTextResponse("finished")

    with bound(["127.0.0.1:0"]) as sockets:
        address = sockets[0].getsockname()
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            async with serving(Starlette(routes=[Route("/", slow)]), sockets):
                answer = asyncio.create_task(client.get(urls(sockets)[0]))
                await started.wait()
                asyncio.get_running_loop().call_soon(go.set)
            assert (await answer).text == "finished"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(address)


def test_a_response_in_two_writes_is_not_delayed() -> None:
    with bound(["127.0.0.1:0"]) as (listening,), socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
