"""A server on loopback whose connections run a function of the test, and which ends with the test."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def conversation_server(conversation: Conversation, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Give the port. Leaving ends every connection that clients still keep.

    From Python 3.12.1 on an `asyncio.Server` waits for them: as long as a client keeps its connections, or for ever.
    """
    open_now: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now[asyncio.current_task()] = writer
        try:
            await conversation(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has hung up
        finally:
            del open_now[asyncio.current_task()]
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task, writer in tuple(open_now.items()):
                writer.transport.abort()
                if task is not None:
                    task.cancel()
