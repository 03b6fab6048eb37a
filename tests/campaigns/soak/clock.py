"""The time of all processes: real time, with idle seconds skipped."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Final

_PRELOAD: Final = Path(__file__).parent / "preload"


class Clock:
    """The wall clock, in seconds since 1970, of the harness and of every process that is started with `environ`.

    Such a process reads the offset of its wall and monotonic clocks from `file`. Timers of its event loop that became
    due run when something wakes it, such as a scrape.
    """

    def __init__(self, file: Path, at: float) -> None:
        file.write_bytes(bytes(16))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 16)
        path = [str(_PRELOAD), os.environ.get("PYTHONPATH", "")]
        # A time zone far from UTC+8, with summer time: play dates must not depend on it.
        self.environ = {
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "SOAK_CLOCK": str(file),
            "TZ": "America/Los_Angeles",
        }
        self._ahead = at - time.time()
        self._skipped = 0.0
        self.skip(0.0)

    def now(self) -> float:
        return time.time() + self._ahead

    def skip(self, seconds: float) -> None:
        """Advance the clocks of all processes."""
        self._ahead += seconds
        self._skipped += seconds
        # Not pack_into, which writes zeros first: a process reading them would have a wrong date and delete all days.
        self._shared[0:8] = struct.pack("d", self._ahead)
        self._shared[8:16] = struct.pack("d", self._skipped)
