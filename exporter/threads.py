"""Work that may block for ever, in daemon threads of its own: neither other work nor the end of the process waits."""

from __future__ import annotations

import asyncio
import errno
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

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
