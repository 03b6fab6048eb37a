"""Work that may block for ever, in daemon threads of its own: neither other work nor the end of the process waits."""

from __future__ import annotations

import asyncio
import errno
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


async def run_in_daemon_thread(work: Callable[[], T], name: str) -> T:
    """The result of something that blocks, or its exception, from a thread of its own.

    Not one of the event loop's pool: a name server or a file system that does not answer would keep every thread of it,
    and the end of the process would wait for them. Raises OSError if no thread can be started.
    """
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # if the caller is cancelled, the result is dropped

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            # asyncio cannot pass on a StopIteration, and would end the loop for what is not an Exception.
            is_ordinary = isinstance(error, Exception) and not isinstance(error, StopIteration)
            result.set_exception(error if is_ordinary else RuntimeError(f"{type(error).__name__} in a thread"))

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, "no thread can be started") from None
    return await asyncio.wrap_future(result)


class SharedThreads(Generic[T]):
    """Runs blocking work under a key, each key once at a time: concurrent callers share the result.

    Work that hangs thus takes one thread, however many callers wait for it.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[T]] = {}

    async def run(self, key: Hashable, work: Callable[[], T], name: str) -> T:
        """The result of the work that runs under this key, started if there is none, or its exception."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(run_in_daemon_thread(work, name))
            task.add_done_callback(lambda ended: self._ended(key, ended))
        # If one caller is cancelled, the others go on waiting.
        return await asyncio.shield(task)

    def _ended(self, key: Hashable, task: asyncio.Task[T]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # mark it as retrieved: every caller may have been cancelled
