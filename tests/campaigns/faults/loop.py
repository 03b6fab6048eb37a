"""An event loop that skips waits for a silent peer."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# After this much real time without events time is skipped; both ends of every connection are in this process.
PATIENCE: Final = 0.02


class _Selector(selectors.DefaultSelector):
    """Waits for sockets; waits without effect are skipped and added to `skipped`."""

    def __init__(self, stalled: Callable[[], bool]) -> None:
        super().__init__()
        self.skipped = 0.0
        self._stalled = stalled

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= PATIENCE or not self._stalled():
            return super().select(timeout)
        ready = super().select(PATIENCE)
        if not ready and self._stalled():
            self.skipped += timeout - PATIENCE
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """Its time jumps to the next timer while `stalled` reports a silent peer and nothing happens.

    A timeout of ten seconds takes twenty milliseconds and still ends the wait.
    """

    def __init__(self, stalled: Callable[[], bool]) -> None:
        self._hurry = _Selector(stalled)
        super().__init__(self._hurry)

    def time(self) -> float:
        """Seconds, including the skipped ones."""
        return super().time() + self._hurry.skipped
