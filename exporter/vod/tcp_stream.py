"""A connection as bytes: opened by address, encrypted where asked, and watched while nobody reads from it."""

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

# Bytes that are received before they are asked for.
_AHEAD: Final = 256 * 1024
# Seconds that one address of several has before the next is tried beside it (RFC 8305).
_HEAD_START: Final = 0.25

Address = tuple[socket.AddressFamily, Any]


class Stream(asyncio.Protocol):
    """What was received and not yet taken, and whether more can come."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = False
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to write to."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's transport is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep what was received, and receive no more for now when that is much."""
        self.received += data
        if len(self.received) > _AHEAD and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True
        self._wake()

    def eof_received(self) -> None:
        """Nothing more can come."""
        self.ended = True
        self._wake()

    def connection_lost(self, _error: Exception | None) -> None:
        """Nothing more can come, nor be sent."""
        self.ended = True
        self._wake()

    # What its owner calls.

    async def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Go on over TLS. Raises OSError: ssl.SSLError among others."""
        loop = asyncio.get_running_loop()
        assert self._transport is not None  # noqa: S101 - only what is connected can be secured
        transport = await loop.start_tls(self._transport, self, context, server_hostname=host)
        if transport is None:  # asyncio's word for a connection that was closed meanwhile
            raise ConnectionResetError
        self._transport = transport

    def certificate(self) -> bytes | None:
        """What the other side has shown, in DER."""
        shown = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        certificate: bytes | None = shown.getpeercert(binary_form=True) if shown is not None else None
        return certificate

    def write(self, data: bytes) -> None:
        """Send, without waiting for it."""
        if self._transport is not None:
            self._transport.write(data)

    async def more(self) -> bool:
        """Wait until more was received than is there; False when nothing more can come."""
        before = len(self.received)
        if self._paused and before <= _AHEAD and self._transport is not None:
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
        """Whether it is open and nothing was received that nobody has asked for, even unnoticed by the event loop."""
        transport = self._transport
        if transport is None or self.ended or self.received or transport.is_closing():
            return False
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close at once; what was not sent or received is lost."""
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def connected(addresses: Sequence[Address]) -> Stream:
    """A stream to the first of these addresses that takes the connection. Raises the OSError of the first.

    IPv6 and IPv4 in turns; each has a moment before the next is tried beside it, so that a family that leads nowhere
    does not take all the time there is.
    """
    errors: dict[int, OSError] = {}
    attempts: set[asyncio.Task[socket.socket]] = set()
    numbers: dict[asyncio.Task[socket.socket], int] = {}
    left = _in_turns(addresses)
    try:
        while left or attempts:
            if left:
                task = asyncio.create_task(_connected(left.pop(0)))
                numbers[task] = len(numbers)
                attempts.add(task)
            done, attempts = await asyncio.wait(
                attempts, timeout=_HEAD_START if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (error := task.exception()) is None:
                    done.discard(task)
                    attempts |= done
                    return await _streamed(task.result())
                if not isinstance(error, OSError):
                    raise error
                errors[numbers[task]] = error
    finally:
        for task in attempts:
            task.add_done_callback(_discarded)
            task.cancel()
    raise errors[min(errors)] if errors else OSError


def _in_turns(addresses: Sequence[Address]) -> list[Address]:
    """The family of the first address first, then one of each."""
    first = [address for address in addresses if address[0] is addresses[0][0]]
    others = [address for address in addresses if address[0] is not addresses[0][0]]
    return [address for pair in zip_longest(first, others) for address in pair if address is not None]


async def _connected(address: Address) -> socket.socket:
    family, place = address
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)  # noqa: FBT003 - the name is the system's
        await asyncio.get_running_loop().sock_connect(connecting, place)
    except BaseException:
        connecting.close()
        raise
    return connecting


async def _streamed(connection: socket.socket) -> Stream:
    try:
        _, stream = await asyncio.get_running_loop().create_connection(Stream, sock=connection)
    except BaseException:
        connection.close()
        raise
    return stream


def _discarded(task: asyncio.Task[socket.socket]) -> None:
    """Close what was connected too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
