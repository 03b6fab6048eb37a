"""How the interpreter shares its time: no garbage collection and no thread keeps the event loop waiting for long.

CPython's full collection stops everything while it looks at every object that may be part of a cycle: 0.15 s at
1,000,000 series. Nearly all of them are rows, which live for days, are in no cycle, and go when nobody refers to them.
So what survives a collection that took long is not looked at again ("frozen"), and each looks only at what is new.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

# A collection that takes so long has met some 20,000 new objects.
SLOW_GC_SECONDS: Final = 0.005
# Full collections come after so many of the generation before (by default 10), and so are as much shorter.
FULL_GC_THRESHOLD: Final = 4
# What was frozen as part of a cycle in use (a connection, say) is not freed when it is let go. So all are looked at
# once in so many times: weeks at 1,000,000 series, and what is left lying in between is 25 MB at the most.
MAX_FREEZES: Final = 10_000
# A thread that computes lets the loop wait so long each time it wants to go on; by default it is 5 ms.
SWITCH_INTERVAL_SECONDS: Final = 0.001


class FreezeAfterSlowGc:
    """Told of the beginning and the end of each collection, as a callback of `gc`; `perf_counter` in seconds."""

    def __init__(self, perf_counter: Callable[[], float] = time.perf_counter) -> None:
        self._perf_counter = perf_counter
        self._began = 0.0
        self._times = 0

    def __call__(self, phase: str, info: Mapping[str, int]) -> None:
        """Freeze what has survived a full collection that took long."""
        if phase == "start":
            self._began = self._perf_counter()
        elif info["generation"] == len(gc.get_threshold()) - 1:
            if self._times == MAX_FREEZES:
                self._times = 0
                gc.unfreeze()
            elif self._perf_counter() - self._began >= SLOW_GC_SECONDS:
                self._times += 1
                gc.freeze()


@contextlib.contextmanager
def tune_interpreter() -> Generator[None]:
    """While this is entered, collections and turns of threads are short, in the whole process."""
    callback = FreezeAfterSlowGc()
    turn, thresholds = sys.getswitchinterval(), gc.get_threshold()
    gc.callbacks.append(callback)
    gc.set_threshold(*thresholds[:2], FULL_GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(callback)
        gc.unfreeze()
