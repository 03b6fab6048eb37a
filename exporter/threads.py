"""Run work that may block forever in daemon threads: neither other work nor the exit waits for it."""

from __future__ import annotations

import asyncio
import errno
import queue
import threading
from collections import Counter
from concurrent.futures import Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from exporter.errors import NO_THREAD

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

FILE_SECONDS: Final = 10.0
"""Seconds that a file may take to respond."""
HANGING: Final = "its file system does not respond"
"""The error of a file that takes longer."""
_MOST_UNRETURNED: Final = 6
# Calls of `in_time` that have not returned, by key.
_unreturned: Counter[Hashable] = Counter()
_counting: Final = threading.Lock()


def in_time(work: Callable[[], T], key: Hashable) -> T:
    """The result of a function that may never return because a file system does not respond.

    Raises OSError after FILE_SECONDS, or immediately if _MOST_UNRETURNED calls with this key have not returned: nothing
    can end their threads. If no thread can be started, the function is called in this one.
    """
    with _counting:
        if _unreturned[key] >= _MOST_UNRETURNED:
            raise OSError(errno.ETIMEDOUT, HANGING)
        _unreturned[key] += 1

    def returned() -> None:
        with _counting:
            _unreturned[key] -= 1

    try:
        result = _started(work, f"reading {key}"[:40], returned)
    except OSError:
        returned()
        return work()
    try:
        return result.result(FILE_SECONDS)
    except TimeoutError:
        if result.done():
            return result.result()  # the exception is the function's own, or it has just returned
        raise OSError(errno.ETIMEDOUT, f"{HANGING}: no response within {FILE_SECONDS:g} s") from None


async def run_in_daemon_thread(work: Callable[[], T], name: str) -> T:
    """The result of a blocking function, or its exception, from a thread of its own.

    The event loop's thread pool is not used: calls to a name server or file system that does not respond would occupy
    all its threads, and the process would wait for them at exit. Raises OSError if no thread can be started.
    """
    return await asyncio.wrap_future(_started(work, name))


def _started(work: Callable[[], T], name: str, ended: Callable[[], object] = lambda: None) -> Future[T]:
    """The future result of a function in a daemon thread, which then calls `ended`. Raises OSError without a thread."""
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # if the caller is cancelled, the result is dropped

    def run() -> None:
        try:
            _complete(result, work)
        finally:
            ended()

    _start(run, name)
    return result


def _complete(result: Future[T], work: Callable[[], T]) -> None:
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
        # A future rejects StopIteration, and an exception that is no Exception would end the event loop.
        is_ordinary = isinstance(error, Exception) and not isinstance(error, StopIteration)
        result.set_exception(error if is_ordinary else RuntimeError(f"{type(error).__name__} in a thread"))


def _start(run: Callable[[], None], name: str) -> None:
    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, NO_THREAD) from None


class DaemonThread(Executor):
    """One daemon thread that runs blocking functions one after another. Raises OSError if it cannot be started."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        _start(self._run, name)

    def submit(self, work: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:
        """Run the function after those before it."""
        result: Future[T] = Future()
        self._calls.put((result, partial(work, *args, **named)))
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the signature is the standard library's
        """End the thread after the functions so far, without waiting for it."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            result, work = call
            if result.set_running_or_notify_cancel():
                _complete(result, work)
