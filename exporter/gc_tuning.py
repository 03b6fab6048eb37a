"""Shortens garbage collections and the time slices of threads, so that neither delays the event loop for long.

A full collection of CPython stops everything while it visits every object that may be part of a cycle: 0.15 s at
1,000,000 series. Nearly all of these are rows, which live for days, are part of no cycle, and are freed by their
reference counts. Objects that survive a slow collection are therefore frozen: later collections visit new objects only.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

# A collection that takes this long has visited some 20,000 new objects.
SLOW_GC_SECONDS: Final = 0.005
# A full collection runs after this many of the younger generation (default: 10): more often, but shorter.
FULL_GC_THRESHOLD: Final = 4
# Frozen objects that become cyclic garbage later (a connection, or the configuration before a reload) are not freed
# while they are frozen, so all are unfrozen once a day; one collection then visits everything.
MAX_FROZEN_SECONDS: Final = 86_400.0
# The event loop waits this long for a computing thread to release the GIL; by default 5 ms.
SWITCH_INTERVAL_SECONDS: Final = 0.001


class FreezeAfterSlowGc:
    """A callback for `gc.callbacks`, called at the start and end of each collection; `perf_counter` in seconds."""

    def __init__(self, perf_counter: Callable[[], float] = time.perf_counter) -> None:
        self._perf_counter = perf_counter
        self._started_at = 0.0
        self._frozen_since: float | None = None

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        """Freeze the objects that survived a slow full collection."""
        if phase == "start":
            self._started_at = self._perf_counter()
        elif info["generation"] == len(gc.get_threshold()) - 1:
            now = self._perf_counter()
            if self._frozen_since is not None and now - self._frozen_since >= MAX_FROZEN_SECONDS:
                self._frozen_since = None
                gc.unfreeze()
            elif now - self._started_at >= SLOW_GC_SECONDS:
                self._frozen_since = now if self._frozen_since is None else self._frozen_since
                gc.freeze()


@contextlib.contextmanager
def tune_interpreter() -> Generator[None]:
    """Keep collections and time slices short in the whole process while the context is entered."""
    callback = FreezeAfterSlowGc()
    switch_interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    gc.callbacks.append(callback)
    gc.set_threshold(*thresholds[:2], FULL_GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(switch_interval)
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(callback)
        gc.unfreeze()
