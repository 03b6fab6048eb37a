"""A thousand slow clients of several kinds that reconnect when they are disconnected: `... URL [CAFILE]`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

SLOW: Final = 1_000
_COME_WITHIN_SECONDS: Final = 3.0
_COME_AGAIN_SECONDS: Final = 3.0


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Connects and sends nothing."""
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends one byte of its request per second."""
    for byte in b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nX-Slow: " + b"x" * 1_000:
        writer.write(bytes([byte]))
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            # Not wait_for(): before Python 3.12 it swallows a cancellation that comes together with a byte.
            async with asyncio.timeout(1.0):
                if not await reader.read(1):
                    return


async def unread(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Requests everything, uncompressed, and reads nothing."""
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n" * 4)
    await writer.drain()
    while not writer.transport.is_closing():
        writer.write(b"\r\n")
        await asyncio.sleep(1.0)


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends one request and keeps the connection."""
    writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: exporter\r\n\r\n")
    while await reader.read(65_536):
        pass


async def again(
    kind: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]],
    port: int,
    context: ssl.SSLContext | None,
    ended: Counter[str],
    *,
    after: float,
) -> None:
    """One slow client, which reconnects when it is disconnected."""
    name = "localhost" if context else None
    await asyncio.sleep(after)
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=name, limit=1
            )
            try:
                await kind(reader, writer)
            finally:
                writer.transport.abort()
        ended[kind.__name__] += 1
        await asyncio.sleep(_COME_AGAIN_SECONDS)


async def tracker(url: str, cafile: str) -> None:
    """Run all clients until a signal; then print the disconnects by kind."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    context = ssl.create_default_context(cafile=cafile) if cafile else None
    port = int(url.rpartition(":")[2])
    ended: Counter[str] = Counter()
    kinds = (silent, dripping, unread, idle)
    clients = []
    for number in range(SLOW):
        kind = kinds[number % len(kinds)]
        # Half of the silent ones do not even finish the TLS handshake.
        half_open = kind is silent and number % 8 == 0
        coming = again(kind, port, None if half_open else context, ended, after=number * _COME_WITHIN_SECONDS / SLOW)
        clients.append(asyncio.create_task(coming))
    await stop.wait()
    for client in clients:
        client.cancel()
    await asyncio.wait(clients)
    sys.stdout.write(", ".join(f"{kind} {times}" for kind, times in ended.items()) or "none")


if __name__ == "__main__":
    asyncio.run(tracker(sys.argv[1], sys.argv[2]))
