"""Run work that may block forever in daemon threads: neither other work nor the exit waits for it."""

from __future__ import annotations

import asyncio
import errno
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from exporter.errors import NO_THREAD

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def run_in_daemon_thread(work: Callable[[], T], name: str) -> T:
    """The result of a blocking function, or its exception, from a thread of its own.

    The event loop's thread pool is not used: calls to a name server or file system that does not respond would occupy
    all its threads, and the process would wait for them at exit. Raises OSError if no thread can be started.
    """
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # if the caller is cancelled, the result is dropped

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            # A future rejects StopIteration, and an exception that is no Exception would end the event loop.
            is_ordinary = isinstance(error, Exception) and not isinstance(error, StopIteration)
            result.set_exception(error if is_ordinary else RuntimeError(f"{type(error).__name__} in a thread"))

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, NO_THREAD) from None
    return await asyncio.wrap_future(result)
