"""The service on a loopback port, byte by byte: answers from the simulator's catalogue until a fault is met."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from exporter.core.model import Measure
from exporter.simulator.dataset import Dataset, Order, progress
from tests.campaigns.faults import certificates
from tests.campaigns.faults.fault import Fault, NotMet, Trouble
from tests.campaigns.faults.oracle import Call, Said

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from datetime import date as date_

    from tests.campaigns.faults.fault import Payload

# Whoever falls for a fault more often than that has been seen to: it need not go on for minutes.
ENOUGH_CALLS: Final = 600
ENDLESS_CALLS: Final = 25_000
# A connection that lingers for no time is reset when it is closed.
_AT_ONCE: Final = b"\x01\0\0\0\0\0\0\0"


def _row(media: int, media_id: str, day: date_, now: float) -> Payload | None:
    row = _catalogue(media).row(media_id, day, now=now)
    if row is None:
        return None
    return {
        "MediaId": row.media_id,
        "VideoTitle": row.title,
        "VideoDuration": row.media_duration,
        "DAU": row.viewers,
        "PlaySuccessVv": row.plays,
        "PlayPerVv": row.plays_per_viewer,
        "PlayDuration": row.play_duration,
        "PlayDurationPerUv": row.play_duration_per_viewer,
    }


@lru_cache(maxsize=4)
def _catalogue(media: int) -> Dataset:
    return Dataset(media=media)


class Exchange:
    """One request in hand."""

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
        with self._service.silence():
            await self.reader.read()

    async def drip(self, data: bytes, seconds: float) -> None:
        hung_up = asyncio.ensure_future(self.reader.read())
        try:
            with self._service.silence():
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
    """What it does, and what it has seen; an asynchronous context manager.

    `media` is how many the account has. `calls` are the requests it got, `met` those that met the fault, `good` those
    that were answered. `now` gives seconds since 1970.
    """

    def __init__(self, media: int, now: Callable[[], float], *, tls: bool = False) -> None:
        self._media = media
        self._now = now
        self._context = certificates.context() if tls else None
        self._server: asyncio.Server | None = None
        self._held: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._trouble = Trouble.NONE
        self.fault: Fault | None = None
        self.meets: Callable[[Call], bool] = lambda _: True
        self.on_meeting: Callable[[], None] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.first_met = asyncio.Event()
        self.said = Said()
        self.calls: list[Call] = []
        self.met: list[Call] = []
        self.good = 0
        self.silent = 0
        self._patience = 0  # so many more requests may meet the fault

    async def __aenter__(self) -> Self:
        # Bound and never listening, it keeps the port while nobody listens.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()
        self._port.close()

    @property
    def endpoint(self) -> str:
        return self.endpoint_at("127.0.0.1")

    def endpoint_at(self, host: str) -> str:
        return f"{'https' if self._context else 'http'}://{host}:{self._port.getsockname()[1]}"

    @contextlib.contextmanager
    def silence(self) -> Generator[None]:
        """Somebody is kept waiting."""
        self.silent += 1
        try:
            yield
        finally:
            self.silent -= 1

    async def break_(self, fault: Fault, meets: Callable[[Call], bool]) -> None:
        """From now on what `meets` says meets the fault; faults of connections end those there are."""
        self.fault, self.meets = fault, meets
        self._patience = ENDLESS_CALLS if fault.endless else ENOUGH_CALLS
        if fault.trouble is not Trouble.NONE:
            await self._become(fault.trouble)

    async def mend(self, *, hang_up: bool = True) -> None:
        """Answer again as it should be; whoever is kept waiting goes on waiting unless it hangs up."""
        self.fault = None
        if self._trouble is not Trouble.NONE:
            await self._become(Trouble.NONE, hang_up=hang_up)

    async def after_an_answer(self, exchange: Exchange, answer: bytes) -> None:
        """What becomes of a connection after a whole answer: it is kept."""

    async def hang_up(self) -> None:
        """End the connections there are, and take new ones."""
        await self._become(self._trouble)

    async def _become(self, trouble: Trouble, *, hang_up: bool = True) -> None:
        self._trouble = trouble
        await self._leave(hang_up=hang_up)
        if trouble not in (Trouble.REFUSED, Trouble.UNKNOWN_NAME):
            await self._listen()
        for _ in range(20):  # what has ended arrives at its other end
            await asyncio.sleep(0)

    async def _listen(self) -> None:
        plainly = (Trouble.CLOSED, Trouble.RESET, Trouble.SILENT, Trouble.GARBAGE, Trouble.PLAIN)
        context = None if self._trouble in plainly else self._context
        if context is not None:
            certificates.leaf(self._trouble).configure_cert(context)
        port = self._port.getsockname()[1]
        self._server = await asyncio.start_server(self._greet, "127.0.0.1", port, ssl=context, reuse_port=True)

    async def _leave(self, *, hang_up: bool = True) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if not hang_up:
            return
        for task in self._held:
            task.cancel()
        await asyncio.gather(*self._held, return_exceptions=True)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._held.add(task)
        try:
            await self._treat(reader, writer)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has hung up, or we have
        finally:
            self._held.discard(task)
            writer.close()

    async def _treat(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self._trouble:
            case Trouble.NONE | Trouble.UNTRUSTED | Trouble.EXPIRED | Trouble.MISNAMED:
                while await self._converse(reader, writer):
                    pass
            case Trouble.CLOSED:
                self._meet(Call("connection"))
            case Trouble.RESET:
                self._meet(Call("connection"))
                _reset(writer)
            case Trouble.SILENT:
                self._meet(Call("connection"))
                with self.silence():
                    await reader.read()
            case Trouble.GARBAGE | Trouble.PLAIN:
                self._meet(Call("connection"))
                plain = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
                writer.write(plain if self._trouble is Trouble.PLAIN else bytes(range(256)))
                await writer.drain()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the connection can have another."""
        head = await reader.readuntil(b"\r\n\r\n")
        call = _asked(head)
        self.calls.append(call)
        payload = self._answer(call, head)
        exchange = Exchange(self, call, payload, reader, writer)
        fault = self.fault
        if fault is not None and fault.act is not None and self._patience and self.meets(call):
            self._patience -= 1
            try:
                self._meet(call)
                await self.gate.wait()
                said = await fault.act(exchange)
            except NotMet:
                self.met.pop()
            else:
                if said is not None:
                    self.said.hear(call, said)
                    self.good += 1
                return not writer.is_closing()
        await exchange.send("200 OK", {"Content-Type": "application/json"}, to_json(payload))
        self.said.hear(call, payload)
        self.good += 1
        return True

    def _meet(self, call: Call) -> None:
        self.met.append(call)
        self.first_met.set()
        self.on_meeting()

    def _answer(self, call: Call, head: bytes) -> Payload:
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
        """Every row of a date as it is said now, most played first."""
        return list(_listed(self._media, _day(date), Order(Measure.PLAYS, descending=True), self._now()))


def request_id() -> str:
    """A name for a request that none before it has had, as the service gives them."""
    return str(uuid4())


def _day(date: str) -> date_:
    return datetime.strptime(date, "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone


# What is said of a day changes in steps; thousands of cases ask for the same.
_LISTS: dict[tuple[object, ...], tuple[Payload, ...]] = {}


def _listed(media: int, day: date_, order: Order | None, now: float) -> tuple[Payload, ...]:
    key = media, day, order, progress(day, now)
    if key not in _LISTS:
        counts = _catalogue(media).result_set(day, order=order, now=now)
        _LISTS[key] = tuple(row for one in counts if (row := _row(media, one.media.media_id, day, now)))
    return _LISTS[key]


def to_json(payload: Mapping[str, object]) -> bytes:
    """An answer as the service writes it."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _asked(head: bytes) -> Call:
    target = urlsplit(head.split(b" ", 2)[1].decode("ascii"))
    asked = dict(parse_qsl(target.query))
    return Call(
        target.path,
        asked.get("PlayDate", ""),
        int(asked.get("PageNo", 0)),
        int(asked.get("PageSize", 0)),
        asked.get("MediaId"),
    )


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()
