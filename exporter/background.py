"""Tasks beside a block: one that cancels it on request, and endless ones that are started again if they fail."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine

_RESTART_SECONDS: Final = 10.0
_RESTARTED: Final = "It will be restarted. If this persists, check the limits of threads and memory, and report it."

_log = structlog.get_logger()


@contextlib.asynccontextmanager
async def cancelled_by(stop: asyncio.Event) -> AsyncGenerator[asyncio.Task[None]]:
    """Cancel the block, without an error, when `stop` is set; no longer once the task that it gets is cancelled."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task

    async def cancel() -> None:
        await stop.wait()
        task.cancel()

    canceller = asyncio.create_task(cancel())
    try:
        yield canceller
    except asyncio.CancelledError:
        if canceller.cancelled() or not stop.is_set() or task.uncancel():
            raise
        _log.info("stopping", reason="signal")
    finally:
        canceller.cancel()


@contextlib.asynccontextmanager
async def running(
    work: Callable[[], Coroutine[None, None, None]], sleep: Callable[[float], Awaitable[object]]
) -> AsyncGenerator[None]:
    """Run endless work in the background until the block ends; start it again if it fails."""

    async def run() -> None:
        while True:
            try:
                return await work()
            except Exception:  # noqa: BLE001 - otherwise it would go unnoticed that, for example, reloads have ended
                _log.exception("background task failed", advice=_RESTARTED)
                await sleep(_RESTART_SECONDS)

    beside = asyncio.create_task(run())
    try:
        yield
    finally:
        beside.cancel()
        await asyncio.wait({beside})
