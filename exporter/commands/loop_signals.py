"""Signals in an event loop: SIGTERM and SIGINT stop a daemon or cancel a command, SIGHUP sets an event."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from exporter.signals import INTERRUPT, PROCESS, STOP

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

T = TypeVar("T")


def run_interruptible(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, which a first signal cancels; raises KeyboardInterrupt then.

    Signals wait while the event loop is created: an exception would leave half of it, whose removal prints a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(main)  # signals are the main thread's
    waiting: list[int] = []
    cancellable = _cancellable(main)
    before = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in INTERRUPT}
    try:
        with asyncio.Runner() as runner:
            runner.get_loop()
            for number, handler in before.items():
                signal.signal(number, handler)
            for arrived in waiting:
                signal.raise_signal(arrived)
            return runner.run(cancellable)
    except asyncio.CancelledError:
        if PROCESS.interrupted_by is None:
            raise
        raise KeyboardInterrupt from None
    finally:
        cancellable.close()
        main.close()


async def _cancellable(main: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checker
    loop = asyncio.get_running_loop()
    with _wakeup_fd(loop):
        PROCESS.on_interrupt = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            return await main
        finally:
            PROCESS.on_interrupt = None


@contextlib.asynccontextmanager
async def stop_on_signal() -> AsyncGenerator[asyncio.Event]:
    """Yield an event that SIGTERM and SIGINT set instead of ending the process.

    Not `loop.add_signal_handler`: removing its handler restores the default, and a signal during shutdown would kill
    the process.
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
    """Yield an event that SIGHUP sets; already set if SIGHUP arrived since the process started."""
    event = asyncio.Event()
    before = signal.signal(signal.SIGHUP, PROCESS.hang_up)
    PROCESS.on_hangup = _threadsafe(event)
    if PROCESS.hung_up:
        event.set()
    try:
        yield event
    finally:
        PROCESS.on_hangup, PROCESS.hung_up = None, False
        signal.signal(signal.SIGHUP, before)


def _threadsafe(event: asyncio.Event) -> Callable[[], None]:
    loop = asyncio.get_running_loop()

    def set_() -> None:
        # A loop that is closed raises RuntimeError; there is nothing left to stop or reload.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(event.set)

    return set_


@contextlib.contextmanager
def _wakeup_fd(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Let a signal wake the loop even if it arrives just before the loop starts to wait."""
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)  # noqa: FBT003 - the standard library's signature
        writer.setblocking(False)  # noqa: FBT003
        loop.add_reader(reader, reader.recv, 4096)
        # A full buffer needs no warning: the loop is about to wake up.
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(reader)
