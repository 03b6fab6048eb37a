"""The service on a loopback port, byte by byte: responses from the simulator's dataset until a fault occurs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
from datetime import datetime
from functools import lru_cache
from random import getrandbits
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import msgspec

from exporter.core.model import Measure
from exporter.simulator.actions import PLAY_DATA, to_json_row
from exporter.simulator.dataset import Dataset, Order, progress
from tests.campaigns.faults import certificates
from tests.campaigns.faults.fault import ConnectionFault, Fault, NotApplicable
from tests.campaigns.faults.oracle import Call, Returned

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from datetime import date as date_

    from tests.campaigns.faults.fault import Payload

# A client that repeats a fault more often has failed already: no need to continue for minutes.
ENOUGH_CALLS: Final = 600
ENDLESS_CALLS: Final = 25_000
# With SO_LINGER 0 a connection is reset when it is closed.
_ACTION: Final = re.compile(rb"\r\nx-acs-action: *(\w+)", re.IGNORECASE)
_AT_ONCE: Final = b"\x01\0\0\0\0\0\0\0"


def _row(media: int, media_id: str, day: date_, now: float) -> Payload | None:
    row = _catalogue(media).row(media_id, day, now=now)
    return to_json_row(row) if row else None


@lru_cache(maxsize=4)
def _catalogue(media: int) -> Dataset:
    return Dataset(media=media)


class Exchange:
    """One request being handled."""

    def __init__(
        self,
        service: Service,
        call: Call,
        payload: Payload,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._service = service
        self.call = call
        self.payload = payload
        self.reader = reader
        self.writer = writer

    async def send(self, status: str, headers: Mapping[str, str], body: bytes) -> None:
        given = {"Content-Length": str(len(body)), "x-acs-request-id": request_id(), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        answer = f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body
        await self.raw(answer)
        await self._service.after_an_answer(self, answer)

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def stall(self) -> None:
        with self._service.mark_waiting():
            await self.reader.read()

    async def drip(self, data: bytes, seconds: float) -> None:
        hung_up = asyncio.ensure_future(self.reader.read())
        try:
            with self._service.mark_waiting():
                while not (await asyncio.wait({hung_up}, timeout=seconds))[0]:
                    await self.raw(data)
        finally:
            hung_up.cancel()

    def listed(self) -> list[Payload]:
        return self._service.listed(self.call.date)

    def reset(self) -> None:
        _reset(self.writer)

    def close(self) -> None:
        self.writer.close()


class Service:
    """The service and its log of requests; an asynchronous context manager.

    `media`: how many the account has. `calls`: all requests, `affected`: those that got the fault, `good`: those
    with a correct response. `now` gives seconds since 1970.
    """

    def __init__(self, media: int, now: Callable[[], float], *, tls: bool = False) -> None:
        self._media = media
        self._now = now
        self._context = certificates.context() if tls else None
        self._server: asyncio.Server | None = None
        self._held: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._connection_fault = ConnectionFault.NONE
        self.fault: Fault | None = None
        self.meets: Callable[[Call], bool] = lambda _: True
        self.on_meeting: Callable[[], None] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.first_affected = asyncio.Event()
        self.returned = Returned()
        self.calls: list[Call] = []
        self.affected: list[Call] = []
        self.good = 0
        self.silent = 0
        self._patience = 0  # requests that may still get the fault

    async def __aenter__(self) -> Self:
        # Bound but never listening: reserves the port while the service does not listen.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop_listening()
        self._port.close()

    @property
    def endpoint(self) -> str:
        return self.endpoint_at("127.0.0.1")

    def endpoint_at(self, host: str) -> str:
        return f"{'https' if self._context else 'http'}://{host}:{self._port.getsockname()[1]}"

    @contextlib.contextmanager
    def mark_waiting(self) -> Generator[None]:
        """Mark a client as waiting for a response."""
        self.silent += 1
        try:
            yield
        finally:
            self.silent -= 1

    async def break_(self, fault: Fault, meets: Callable[[Call], bool]) -> None:
        """Requests for which `meets` is true get the fault from now on; connection faults end open connections."""
        self.fault, self.meets = fault, meets
        self._patience = ENDLESS_CALLS if fault.endless else ENOUGH_CALLS
        if fault.connection_fault is not ConnectionFault.NONE:
            await self._apply_connection_fault(fault.connection_fault)

    async def repair(self, *, hang_up: bool = True) -> None:
        """Send correct responses again; waiting clients keep waiting unless connections are closed."""
        self.fault = None
        if self._connection_fault is not ConnectionFault.NONE:
            await self._apply_connection_fault(ConnectionFault.NONE, hang_up=hang_up)

    async def after_an_answer(self, exchange: Exchange, answer: bytes) -> None:
        """What happens to a connection after a complete response: it is kept."""

    async def hang_up(self) -> None:
        """Close the open connections and accept new ones."""
        await self._apply_connection_fault(self._connection_fault)

    async def _apply_connection_fault(self, connection_fault: ConnectionFault, *, hang_up: bool = True) -> None:
        self._connection_fault = connection_fault
        await self._stop_listening(hang_up=hang_up)
        if connection_fault not in (ConnectionFault.REFUSED, ConnectionFault.UNKNOWN_NAME):
            await self._listen()
        for _ in range(20):  # the end of a connection reaches its other end
            await asyncio.sleep(0)

    async def _listen(self) -> None:
        plainly = (
            ConnectionFault.CLOSED,
            ConnectionFault.RESET,
            ConnectionFault.SILENT,
            ConnectionFault.GARBAGE,
            ConnectionFault.PLAIN,
        )
        context = None if self._connection_fault in plainly else self._context
        if context is not None:
            certificates.leaf(self._connection_fault).configure_cert(context)
        port = self._port.getsockname()[1]
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", port, ssl=context, reuse_port=True)

    async def _stop_listening(self, *, hang_up: bool = True) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if not hang_up:
            return
        for task in self._held:
            task.cancel()
        await asyncio.gather(*self._held, return_exceptions=True)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._held.add(task)
        try:
            await self._handle_connection(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client or the service closed the connection
        finally:
            self._held.discard(task)
            writer.close()

    async def _handle_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self._connection_fault:
            case ConnectionFault.NONE | ConnectionFault.UNTRUSTED | ConnectionFault.EXPIRED | ConnectionFault.MISNAMED:
                while await self._handle_request(reader, writer):
                    pass
            case ConnectionFault.CLOSED:
                self._matches_fault(Call("connection"))
            case ConnectionFault.RESET:
                self._matches_fault(Call("connection"))
                _reset(writer)
            case ConnectionFault.SILENT:
                self._matches_fault(Call("connection"))
                with self.mark_waiting():
                    await reader.read()
            case ConnectionFault.GARBAGE | ConnectionFault.PLAIN:
                self._matches_fault(Call("connection"))
                plain = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
                writer.write(plain if self._connection_fault is ConnectionFault.PLAIN else bytes(range(256)))
                await writer.drain()

    async def _handle_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Handle one request; returns whether the connection can be kept."""
        head = await reader.readuntil(b"\r\n\r\n")
        call = _received(head)
        self.calls.append(call)
        payload = self.answer(call, head)
        exchange = Exchange(self, call, payload, reader, writer)
        fault = self.fault
        if fault is not None and fault.act is not None and self._patience and self.meets(call):
            self._patience -= 1
            try:
                self._matches_fault(call)
                await self.gate.wait()
                returned = await fault.act(exchange)
            except NotApplicable:
                self.affected.pop()
            else:
                if returned is not None:
                    self.returned.record(call, returned)
                    self.good += 1
                return not writer.is_closing()
        await exchange.send("200 OK", {"Content-Type": "application/json"}, msgspec.json.encode(payload))
        self.returned.record(call, payload)
        self.good += 1
        return True

    def _matches_fault(self, call: Call) -> None:
        self.affected.append(call)
        self.first_affected.set()
        self.on_meeting()

    def answer(self, call: Call, head: bytes) -> Payload:
        """The correct response to a request."""
        now = self._now()
        if call.path != "/" or not call.date:
            return {}
        day = _day(call.date)
        if call.media_id is not None:
            one = _row(self._media, call.media_id, day, now)
            rows = [one] if one else []
        else:
            order = Order(Measure.PLAYS, descending=True) if b"OrderName=" in head else None
            rows = list(_listed(self._media, day, order, now))
        first = (call.page - 1) * call.size
        return {
            "RequestId": request_id(),
            "TotalCount": len(rows),
            "PageNo": call.page,
            "PageSize": call.size,
            "QoeInfoList": rows[first : first + call.size],
        }

    def listed(self, date: str) -> list[Payload]:
        """Every row of a date as returned now, most played first."""
        return list(_listed(self._media, _day(date), Order(Measure.PLAYS, descending=True), self._now()))


def request_id() -> str:
    """A unique request ID, as the service assigns."""
    return str(UUID(int=getrandbits(128), version=4))


def _day(date: str) -> date_:
    return datetime.strptime(date, "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone


# The data of a day changes in steps, and thousands of cases request the same.
_LISTS: dict[tuple[object, ...], tuple[Payload, ...]] = {}


def _listed(media: int, day: date_, order: Order | None, now: float) -> tuple[Payload, ...]:
    key = media, day, order, progress(day, now)
    if key not in _LISTS:
        counts = _catalogue(media).result_set(day, order=order, now=now)
        _LISTS[key] = tuple(to_json_row(one.row()) for one in counts)
    return _LISTS[key]


def to_json(payload: Mapping[str, object]) -> bytes:
    """A response body as the service writes it."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _received(head: bytes) -> Call:
    target = urlsplit(head.split(b" ", 2)[1].decode("ascii"))
    action = _ACTION.search(head)
    if action is not None and action[1] != PLAY_DATA.encode():
        return Call(target.path, action=action[1].decode("ascii"), query=target.query)
    received = dict(parse_qsl(target.query))
    return Call(
        target.path,
        received.get("PlayDate", ""),
        int(received.get("PageNo", 0)),
        int(received.get("PageSize", 0)),
        received.get("MediaId"),
    )


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()
