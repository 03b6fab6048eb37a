"""Many clients at the same time: which is served first, and that nothing remains of those that disconnect."""

from __future__ import annotations

import asyncio
import gc
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import ServerState

from exporter.web.connection_limits import ConnectionLimits
from exporter.web.connection_tracker import ConnectionTracker
from exporter.web.http_connection import HttpConnection
from tests.campaigns.fuzz.http_connection import Wire
from tests.web.clients import PATIENCE, Client
from tests.web.harness import prepared, served

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
BODY = bytes(100_000)
PLAIN = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GZIP = b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
CROWD = b"GET / HTTP/1.1\r\nHost: crowd\r\nAccept-Encoding: gzip\r\n\r\n"
SMALL = b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n"


async def exposition(request: Request) -> Response:
    headers = {"Content-Encoding": "gzip"} if "gzip" in request.headers.get("accept-encoding", "") else {}
    return Response(BODY, headers=headers)


async def healthy(_request: Request) -> Response:
    return Response(b"healthy")


APP = Starlette(routes=[Route("/", exposition), Route("/-/healthy", healthy)])


class NeverReadWire(Wire):
    """The client reads nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        if isinstance(self.protocol, HttpConnection):
            self.protocol.pause_writing()


@dataclass
class ClientGroup:
    """Clients of one server, each with its own wire, and the order in which their responses began."""

    limits: ConnectionLimits = field(default_factory=lambda: ConnectionLimits(few_connections=0, several=0))
    answered: list[str] = field(default_factory=list)
    wires: dict[str, Wire] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = ServerState()
        self.tracker = ConnectionTracker(self.limits)
        self.config = uvicorn.Config(APP, interface="asgi3", ws="none", log_config=None, access_log=False)
        self.config.load()

    def connect(self, name: str, kind_of_wire: type[Wire] = Wire) -> HttpConnection:
        loop = asyncio.get_running_loop()
        wire = self.wires[name] = kind_of_wire(loop)
        connection = HttpConnection(self.config, self.state, {}, loop, tracker=self.tracker)
        wire.protocol = connection
        connection.connection_made(wire)
        return connection

    async def connect_and_scrape(self, name: str) -> HttpConnection:
        """A connection that has received a scrape."""
        connection = self.connect(name)
        connection.data_received(GZIP)
        while not self.wires[name].written.endswith(BODY):
            await self.iterate()
        self.wires[name].written.clear()
        self.answered.clear()
        return connection

    def request_plain(self, clients: int) -> None:
        for number in range(clients):
            self.connect(f"plain {number}").data_received(PLAIN)

    async def iterate(self, iterations: int = 1) -> None:
        for _ in range(iterations):
            await asyncio.sleep(0)
            self.answered += [name for name, wire in self.wires.items() if wire.written and name not in self.answered]

    async def finish(self) -> None:
        """Iterate until every response has begun."""
        while len(self.answered) < len(self.wires):
            await self.iterate()

    async def leave(self) -> None:
        for wire in self.wires.values():
            wire.close()
        await asyncio.sleep(0)


async def test_a_scrape_is_answered_before_plain_text_for_earlier_clients() -> None:
    group = ClientGroup()
    group.request_plain(50)
    group.connect("scrape").data_received(GZIP)
    await group.finish()
    assert group.answered.index("scrape") <= 2
    await group.leave()


async def test_a_scrape_on_a_kept_connection_is_answered_before_plain_text() -> None:
    group = ClientGroup()
    kept = await group.connect_and_scrape("kept")
    group.request_plain(50)
    kept.data_received(GZIP)
    await group.finish()
    assert group.answered.index("kept") <= 2
    await group.leave()


async def test_a_connection_that_has_received_a_scrape_is_answered_before_other_scrapes() -> None:
    group = ClientGroup()
    kept = await group.connect_and_scrape("kept")
    for number in range(50):
        group.connect(f"gzip {number}").data_received(GZIP)
    await group.iterate(10)
    kept.data_received(GZIP)
    before = len(group.answered)
    await group.finish()
    assert group.answered.index("kept") <= before + 3
    await group.leave()


async def test_a_new_connection_of_a_scraper_does_not_wait_for_a_crowd_from_its_address_that_accepts_gzip() -> None:
    group = ClientGroup()
    for number in range(50):
        group.connect(f"crowd {number}").data_received(CROWD)
    await group.iterate(10)
    group.connect("scraper").data_received(GZIP)
    for number in range(50, 100):
        group.connect(f"crowd {number}").data_received(CROWD)
    before = len(group.answered)
    await group.finish()
    assert group.answered.index("scraper") <= before + 8
    await group.leave()


async def test_a_scraper_that_is_known_does_not_wait_for_clients_that_send_something_else_each_time() -> None:
    group = ClientGroup()
    await group.connect_and_scrape("known")
    for number in range(50):
        group.connect(f"crowd {number}").data_received(CROWD.replace(b"crowd", str(number).encode()))
    group.connect("scraper").data_received(GZIP)
    for number in range(50, 100):
        group.connect(f"crowd {number}").data_received(CROWD.replace(b"crowd", str(number).encode()))
    await group.iterate(10)
    assert "scraper" in group.answered
    await group.leave()


async def test_who_disconnects_during_a_response_is_no_longer_known_as_a_scraper() -> None:
    group = ClientGroup()
    known = await group.connect_and_scrape("known")
    waiting = {known.group.network: {known.group.kind}}
    assert group.tracker.turns.readers.pick(waiting) == known.group
    group.connect("leaves", NeverReadWire).data_received(GZIP)
    while not group.answered:
        await group.iterate()
    group.wires["leaves"].close()
    await group.iterate(10)
    assert not group.wires["leaves"].written.endswith(BODY)
    assert group.tracker.turns.readers.pick(waiting) is None
    await group.leave()


async def test_a_request_without_a_body_proves_no_reader() -> None:
    group = ClientGroup()
    connection = group.connect("head")
    connection.data_received(GZIP.replace(b"GET", b"HEAD"))
    while not group.wires["head"].written:
        await group.iterate()
    for number in range(20):
        group.connect(f"gzip {number}").data_received(GZIP)
    await group.iterate(10)
    connection.data_received(GZIP)
    assert group.tracker.turns.readers.pick({connection.group.network: {connection.group.kind}}) is None
    await group.leave()


async def test_while_there_are_many_connections_plain_text_waits_before_the_application_and_between_chunks() -> None:
    """Clients that read nothing and hang up would cost the most otherwise: with TLS, each chunk is encrypted."""
    group = ClientGroup()
    connections = [group.connect(f"plain {number}") for number in range(20)]
    for connection in connections:
        connection.data_received(SMALL)
    await group.finish()
    for wire in group.wires.values():
        wire.written.clear()
    group.answered.clear()
    for connection in connections:
        connection.data_received(PLAIN)
    chunks = [0]
    while not all(wire.written.endswith(BODY) for wire in group.wires.values()):
        await group.iterate()
        chunks.append(sum(len(wire.written) for wire in group.wires.values()) // group.limits.chunk_bytes)
    assert max(after - before for before, after in itertools.pairwise(chunks)) <= 2
    await group.leave()


async def test_small_responses_do_not_wait_for_large_ones() -> None:
    group = ClientGroup()
    group.request_plain(50)
    group.connect("probe").data_received(SMALL)
    await group.finish()
    assert group.answered.index("probe") <= 2
    await group.leave()


async def test_an_iteration_of_the_event_loop_does_not_answer_all_clients() -> None:
    group = ClientGroup()
    group.request_plain(50)
    progress = [0]
    while len(group.answered) < len(group.wires):
        await group.iterate()
        progress.append(len(group.answered))
    assert max(after - before for before, after in itertools.pairwise(progress)) <= 2
    await group.leave()


async def test_a_client_that_disconnects_while_it_waits_is_not_answered() -> None:
    group = ClientGroup()
    group.request_plain(50)
    await group.iterate(4)
    for wire in group.wires.values():
        wire.close()
    answered = len(group.answered)
    await group.iterate(60)
    assert len(group.answered) == answered < 10
    assert not len(group.tracker)
    assert not group.state.tasks
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_client_that_waits_for_its_turn_can_be_closed_for_another() -> None:
    group = ClientGroup(ConnectionLimits(connections=10, few_connections=0, several=0))
    group.request_plain(20)
    assert len(group.tracker) == 10
    await group.iterate(60)
    assert len(group.answered) == 10
    await group.leave()


async def test_a_request_that_is_too_large_is_rejected_while_it_waits_for_its_turn() -> None:
    group = ClientGroup()
    assert group.tracker.turns.take()
    connection = group.connect("large")
    for _ in range(3):
        connection.data_received(b"GET /" + bytes(group.limits.header_bytes))
    await group.iterate(10)
    assert group.wires["large"].closed
    assert not len(group.tracker)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_nothing_of_a_closed_connection_waits_for_a_garbage_collection(tmp_path: Path, *, tls: bool) -> None:
    """A slow garbage collection freezes live objects: those that become cyclic garbage later would never be freed."""

    def connections() -> int:
        return sum(isinstance(each, HttpConnection) for each in gc.get_objects())

    path = prepared(tmp_path, TLS) if tls else None
    prepared(tmp_path, TLS)
    context = Client(tls=tls).context(tmp_path)
    gc.collect()
    before = connections()
    gc.disable()
    try:
        async with served(path, APP, ConnectionLimits(few_connections=0, several=0)) as (port, _):
            for _ in range(3):
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, server_hostname="localhost" if tls else None, limit=1
                )
                writer.write(PLAIN)
                await asyncio.sleep(0)
                writer.transport.abort()
            await Client(tls=tls, path="/").fetch(port, tmp_path)
            async with asyncio.timeout(PATIENCE):
                while connections() > before:
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()
