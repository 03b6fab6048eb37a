"""Adds the seconds skipped by the soak to the clocks of this process; Python imports this module first.

Not libfaketime: it also changes the clocks of C, with which threads wait for the GIL, and these waits then end late or
never. Here Python code sees the changed clocks; locks and sockets use the real ones.
"""

import datetime as dt
import mmap
import os
import struct
import time
from datetime import datetime as _datetime
from pathlib import Path
from typing import Any

if "SOAK_CLOCK" in os.environ:
    with Path(os.environ["SOAK_CLOCK"]).open("rb") as _file:
        _ahead = mmap.mmap(_file.fileno(), 16, access=mmap.ACCESS_READ)
    _time, _monotonic = time.time, time.monotonic

    def wall() -> float:
        """Seconds since 1970."""
        ahead: float = struct.unpack_from("d", _ahead, 0)[0]
        return _time() + ahead

    def monotonic() -> float:
        """Seconds that never decrease."""
        ahead: float = struct.unpack_from("d", _ahead, 8)[0]
        return _monotonic() + ahead

    class _Kind(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, _datetime)

    class Skipping(_datetime, metaclass=_Kind):
        """A datetime whose `now` is the changed clock; datetimes created in C are instances too."""

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return _datetime.fromtimestamp(wall(), tz)

    time.time, time.monotonic = wall, monotonic
    dt.datetime = Skipping  # type: ignore[misc]  # for all modules that import it from now on
