"""Work that may block for ever, in daemon threads of its own: neither other work nor the end of the process waits."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


async def run_in_daemon_thread(work: Callable[[], T], name: str) -> T:
    """The result of something that blocks, or its exception, from a thread of its own.

    Not one of the event loop's pool: a name server or a file system that does not answer would keep every thread of it,
    and the end of the process would wait for them.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def done(value: T | None, error: Exception | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # what the work has returned

    def run() -> None:
        value, error = None, None
        try:
            value = work()
        except Exception as raised:  # noqa: BLE001 - raised again where it is awaited
            error = raised
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done, value, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await result


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
