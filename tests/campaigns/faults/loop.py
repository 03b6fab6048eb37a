"""An event loop that does not wait for what is known not to come."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# So long nothing may happen before time is taken to be passing; both ends of every connection are in this process.
PATIENCE: Final = 0.02


class _Selector(selectors.DefaultSelector):
    """Waits for sockets; what would be waited in vain is added up in `skipped`."""

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


class Hurried(asyncio.SelectorEventLoop):
    """Its time jumps to the next thing that is due while `stalled` says that a peer keeps silent, and nothing happens.

    A timeout of ten seconds takes twenty milliseconds, and is still what ends the wait.
    """

    def __init__(self, stalled: Callable[[], bool]) -> None:
        self._hurry = _Selector(stalled)
        super().__init__(self._hurry)

    def time(self) -> float:
        """Seconds; those that were skipped have passed."""
        return super().time() + self._hurry.skipped
