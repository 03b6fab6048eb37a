"""Runs our commands in an event loop with a heartbeat every 5 ms, and records late beats.

`python -m tests.campaigns.bench.heartbeat FILE COMMAND...`: the program is unchanged.
On a shared machine a beat is also late because no processor was free; the kernel reports that time, and it is
subtracted.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter import cli

BEAT_SECONDS: Final = 0.005
REPORTED_FROM_SECONDS: Final = 0.002
_THREADS: Final = Path("/proc/self/task")


@dataclass(frozen=True, slots=True)
class Late:
    """A beat `at` an instant (monotonic, seconds), late by `seconds`, `waited` of them for a processor."""

    at: float
    seconds: float
    waited: float

    @property
    def own(self) -> float:
        """The delay caused by the program itself, in seconds."""
        return max(self.seconds - self.waited, 0.0)


class HeartbeatLoop(asyncio.SelectorEventLoop):
    """Writes a line of JSON, the fields of `Late`, for every late beat."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._waits: dict[str, float] = {}

    def run_forever(self) -> None:
        self._beat(time.monotonic())
        super().run_forever()

    def _beat(self, due: float) -> None:
        now = time.monotonic()
        before, self._waits = self._waits, waits()
        if now - due > REPORTED_FROM_SECONDS:
            # The threads take turns, so the one that waited longest delayed the others.
            waited = max(wait - before.get(thread, wait) for thread, wait in self._waits.items())
            os.write(self._file, json.dumps([now, now - due, waited]).encode() + b"\n")
        now = time.monotonic()
        self.call_later(BEAT_SECONDS, self._beat, now + BEAT_SECONDS)


class Policy(asyncio.DefaultEventLoopPolicy):
    """A policy that creates loops with a heartbeat."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._beats = file

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return HeartbeatLoop(self._beats)


def waits() -> dict[str, float]:
    """How long each thread of this process has waited for a processor so far, in seconds (proc(5), schedstat)."""
    found = {}
    for thread in os.listdir(_THREADS):  # noqa: PTH208  every 5 ms: no Path for each
        try:
            found[thread] = int((_THREADS / thread / "schedstat").read_bytes().split()[1]) / 1e9
        except FileNotFoundError:
            continue  # it has just ended
    return found


def beats(file: Path, since: float, until: float) -> list[Late]:
    """The late beats between two instants."""
    late_beats = [Late(*json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
    return [late for late in late_beats if since <= late.at and late.at - late.seconds <= until]


if __name__ == "__main__":
    asyncio.set_event_loop_policy(Policy(Path(sys.argv[1])))
    sys.exit(cli.main(sys.argv[2:]))
