"""A TCP connection as a byte stream, optionally over TLS; it notices what happens while it is idle."""

from __future__ import annotations

import asyncio
import select
import socket
from contextlib import suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

# Bytes that are buffered before reading is paused.
_BUFFER_BYTES: Final = 256 * 1024
# Seconds before the next address is tried in parallel (RFC 8305).
_HEAD_START: Final = 0.25

Address = tuple[socket.AddressFamily, Any]


class Stream(asyncio.Protocol):
    """The bytes received and not yet consumed, and whether the other side has ended.

    `error`: why the connection was lost, such as a TLS alert; None if it was closed or is open.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = False
        self.error: Exception | None = None
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's transport is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Buffer the data; pause reading when the buffer is full."""
        self.received += data
        if len(self.received) > _BUFFER_BYTES and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True
        self._wake()

    def eof_received(self) -> None:
        """No more data can arrive."""
        self.ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """No more data can arrive or be sent."""
        self.error = error
        self.ended = True
        self._wake()

    # Called by the owner.

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Switch to TLS. Raises OSError, including ssl.SSLError."""
        loop = asyncio.get_running_loop()
        assert self._transport is not None  # noqa: S101 - only a connected stream can start TLS
        transport = await loop.start_tls(self._transport, self, context, server_hostname=host)
        if transport is None:  # asyncio returns None for a connection that was closed meanwhile
            raise ConnectionResetError
        self._transport = transport

    def certificate(self) -> bytes | None:
        """The certificate of the other side in DER; None without TLS."""
        shown = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        certificate: bytes | None = shown.getpeercert(binary_form=True) if shown is not None else None
        return certificate

    def write(self, data: bytes) -> None:
        """Send the data without waiting."""
        if self._transport is not None:
            self._transport.write(data)

    async def more(self) -> bool:
        """Wait until more data has been received; False if no more can arrive."""
        before = len(self.received)
        if self._paused and before <= _BUFFER_BYTES and self._transport is not None:
            self._paused = False
            with suppress(RuntimeError):  # closed already
                self._transport.resume_reading()
        while len(self.received) == before and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return len(self.received) > before

    @property
    def is_quiet(self) -> bool:
        """Whether it is open and has received no unsolicited data; also looks at data that asyncio has not read yet."""
        transport = self._transport
        if transport is None or self.ended or self.received or transport.is_closing():
            return False
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close immediately; data not yet sent or received is lost."""
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def connect(addresses: Sequence[Address]) -> Stream:
    """Connect to the first of these addresses that accepts. Raises the OSError of the first address.

    Alternates between IPv6 and IPv4 and starts the next address after _HEAD_START, so that an unreachable address
    family does not use up the whole timeout.
    """
    errors: dict[int, OSError] = {}
    attempts: set[asyncio.Task[socket.socket]] = set()
    numbers: dict[asyncio.Task[socket.socket], int] = {}
    left = _interleaved(addresses)
    try:
        while left or attempts:
            if left:
                task = asyncio.create_task(_open_socket(left.pop(0)))
                numbers[task] = len(numbers)
                attempts.add(task)
            done, attempts = await asyncio.wait(
                attempts, timeout=_HEAD_START if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (error := task.exception()) is None:
                    done.discard(task)
                    attempts |= done
                    return await _open_stream(task.result())
                if not isinstance(error, OSError):
                    raise error
                errors[numbers[task]] = error
    finally:
        for task in attempts:
            task.add_done_callback(_close_late)
            task.cancel()
    raise errors[min(errors)] if errors else OSError


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """The addresses with alternating families, in the order of their first addresses."""
    first = [address for address in addresses if address[0] is addresses[0][0]]
    others = [address for address in addresses if address[0] is not addresses[0][0]]
    return [address for pair in zip_longest(first, others) for address in pair if address is not None]


async def _open_socket(address: Address) -> socket.socket:
    family, place = address
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)  # noqa: FBT003 - the signature is the standard library's
        await asyncio.get_running_loop().sock_connect(connecting, place)
    except BaseException:
        connecting.close()
        raise
    return connecting


async def _open_stream(connection: socket.socket) -> Stream:
    try:
        _, stream = await asyncio.get_running_loop().create_connection(Stream, sock=connection)
    except BaseException:
        connection.close()
        raise
    return stream


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    """Close a connection that was established too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
