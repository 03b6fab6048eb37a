"""An event loop whose time advances only when all tasks wait, and a wall clock that a test may set."""

from __future__ import annotations

import asyncio
import selectors
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import apscheduler.schedulers.base

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import pytest

T = TypeVar("T")
START = datetime.fromisoformat("2024-03-24T12:00:00+08:00").timestamp()


class _Selector(selectors.DefaultSelector):
    """Never waits: timers are due immediately."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            self.passed += timeout
            timeout = 0
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.passed

    def block(self, seconds: float) -> None:
        """Simulate a callback of this duration: all timers of these seconds are due in the next turn."""
        self._virtual.passed += seconds

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Wait for the threads without a limit: it would expire immediately."""
        await super().shutdown_default_executor()


@dataclass
class SettableClock:
    """A wall clock in seconds since 1970; `set` moves it by seconds."""

    loop: VirtualLoop
    at_start: float = START

    def now(self) -> float:
        return self.at_start + self.loop.time()

    def set(self, seconds: float) -> None:
        self.at_start += seconds


def in_virtual_time(
    monkeypatch: pytest.MonkeyPatch, test: Callable[[SettableClock], Coroutine[Any, Any, T]], at: float = START
) -> T:
    """Run a test with the clock, which APScheduler uses too; returns its result."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        clock = SettableClock(loop, at)

        class Datetime(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return datetime.fromtimestamp(clock.now(), tz)

        monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Datetime)
        return runner.run(test(clock))
