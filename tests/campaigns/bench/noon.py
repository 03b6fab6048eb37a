"""Runs a module whose wall clock is ahead: `python -m tests.campaigns.bench.noon SECONDS MODULE ARGUMENT...`.

For exporters and simulators it was noon of a certain day, UTC+8, when the benchmark began. At night fewer media have
plays today, and fewer days are final, so that figures would depend on the time of day.
"""

from __future__ import annotations

import runpy
import sys
import time
from datetime import datetime
from typing import Final

NOON: Final = datetime.fromisoformat("2024-03-24T12:00:00+08:00")
_AHEAD: Final = NOON.timestamp() - time.time()


def at_noon(module: str, *arguments: str) -> tuple[str, ...]:
    """The command line of a module of ours that begins at noon; it has to find our code."""
    return sys.executable, "-m", __name__, str(_AHEAD), module, *arguments


if __name__ == "__main__":
    _ahead, _time = float(sys.argv[1]), time.time
    time.time = lambda: _time() + _ahead  # before a module of the exporter imports it
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
