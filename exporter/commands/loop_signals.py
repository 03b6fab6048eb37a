"""Signals for an event loop: SIGTERM and SIGINT set one event, SIGHUP another."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import TYPE_CHECKING

from exporter.signals import PROCESS, STOP

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator


@contextlib.asynccontextmanager
async def stop_on_signal() -> AsyncGenerator[asyncio.Event]:
    """Give an event that SIGTERM and SIGINT set, in place of ending the process at once.

    Not by `loop.add_signal_handler`: at its end it leaves the defaults behind, and a signal would kill what is ending.
    """
    stop = asyncio.Event()
    with _wakeup_fd(asyncio.get_running_loop()), contextlib.ExitStack() as restored:
        for number in STOP:
            restored.callback(signal.signal, number, signal.signal(number, PROCESS.stop))
        PROCESS.on_stop = _threadsafe(stop)
        try:
            yield stop
        finally:
            PROCESS.on_stop = None


@contextlib.contextmanager
def reload_on_hangup() -> Generator[asyncio.Event]:
    """Give an event that SIGHUP sets; set already if one came since the process began."""
    asked = asyncio.Event()
    before = signal.signal(signal.SIGHUP, PROCESS.hang_up)
    PROCESS.on_hangup = _threadsafe(asked)
    if PROCESS.hung_up:
        asked.set()
    try:
        yield asked
    finally:
        PROCESS.on_hangup, PROCESS.hung_up = None, False
        signal.signal(signal.SIGHUP, before)


def _threadsafe(event: asyncio.Event) -> Callable[[], None]:
    loop = asyncio.get_running_loop()

    def set_() -> None:
        # A loop that has ended has nothing to stop or to reload.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(event.set)

    return set_


@contextlib.contextmanager
def _wakeup_fd(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Let a signal wake the loop even if it comes in the instant before the loop begins to wait."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)  # noqa: FBT003 - the standard library's signature
        writer.setblocking(False)  # noqa: FBT003
        loop.add_reader(reader, reader.recv, 4096)
        # A full buffer is nothing to report: the loop is awake then.
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(reader)
