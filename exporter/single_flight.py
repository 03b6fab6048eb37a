"""Work that concurrent callers share, instead of each doing it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from exporter.threads import run_in_daemon_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

T = TypeVar("T")

# How long a caller waits for work before it is started again.
_PATIENCE_SECONDS: Final = 60.0


class SharedRun(Generic[T]):
    """Runs the work once for all callers that wait, after the last of them has called; returns its result to all.

    If the caller that runs it is cancelled, or the work fails, the next one that waits runs it again. All that wait
    continue in the same iteration of the event loop: with a lock, each would wait for those before it.
    """

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._run_ended: asyncio.Event | None = None
        self._calls = 0
        self._result: tuple[int, T] | None = None

    async def __call__(self) -> T:
        """The result of a run that began after this call."""
        self._calls += 1
        call = self._calls
        while self._result is None or self._result[0] < call:
            if self._run_ended is not None:
                await self._run_ended.wait()
                continue
            waiting = self._calls  # calls during the run get another one
            self._run_ended = ended = asyncio.Event()
            try:
                self._result = waiting, await self._work()
            finally:
                self._run_ended = None
                ended.set()
        return self._result[1]


class SharedThreads(Generic[T]):
    """Runs blocking work under a key, each key once at a time: concurrent callers share the result.

    Work that hangs thus takes one thread, however many callers wait for it. Up to `most` threads of a key: work that
    has not ended after a minute, doubled each time, is started again, since it may never end. A result for
    which no caller waits any more is the next caller's, within `kept` seconds.
    """

    def __init__(self, *, most: int, kept: float) -> None:
        self._most = most
        self._kept = kept
        # The newest run of each key, and when to start another one.
        self._running: dict[Hashable, tuple[asyncio.Task[T], float]] = {}
        self._threads: Counter[Hashable] = Counter()
        # Results that no caller has got yet, and until when they are good.
        self._late: dict[Hashable, tuple[T, float]] = {}

    async def run(self, key: Hashable, work: Callable[[], T], name: str) -> T:
        """The result of the work that runs under this key, started if there is none, or its exception."""
        now, threads = asyncio.get_running_loop().time(), self._threads[key]
        if key in self._late:
            result, until = self._late.pop(key)
            if now < until:
                return result
        task, until = self._running.get(key, (None, 0.0))
        if task is None or (now >= until and threads < self._most):
            task = asyncio.create_task(run_in_daemon_thread(work, name))
            self._running[key] = task, now + _PATIENCE_SECONDS * 2.0**threads
            self._threads[key] += 1
            task.add_done_callback(lambda ended: self._ended(key, ended))
        # If one caller is cancelled, the others go on waiting. Since Python 3.14, `shield` would log the failure of a
        # task whose callers have all been cancelled.
        await asyncio.wait({task})
        self._late.pop(key, None)
        return task.result()

    def _ended(self, key: Hashable, task: asyncio.Task[T]) -> None:
        self._threads[key] -= 1
        if not self._threads[key]:
            del self._threads[key]
        if key in self._running and self._running[key][0] is task:
            del self._running[key]
        # This also marks the exception as retrieved: every caller may have been cancelled.
        if not task.cancelled() and task.exception() is None:
            self._late[key] = task.result(), asyncio.get_running_loop().time() + self._kept
