"""Starts, kills, reloads, scrapes and measures the daemon."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.e2e.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PATIENCE: Final = 300.0
_GLANCE: Final = 0.02
_PAGE: Final = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Size:
    """The process at `at` (seconds since 1970): resident bytes and open descriptors."""

    at: float
    resident: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The storage in bytes: its file, and SQLite's write-ahead log beside it."""

    file: int
    log: int


@dataclass
class ProcessRun:
    """One process of the daemon; `sizes` are measured while nothing is polled."""

    process: subprocess.Popen[bytes]
    log: Path
    sizes: list[Size] = field(default_factory=list)
    _log_read: int = 0

    def new_log_lines(self) -> list[str]:
        """The lines that were added to its log since this was last called."""
        with self.log.open("rb") as log:
            log.seek(self._log_read)
            lines, _, _ = log.read().rpartition(b"\n")
        if not lines:
            return []
        self._log_read += len(lines) + 1
        return lines.decode().split("\n")

    def waits(self) -> dict[int, str] | None:
        """How often the kernel has switched each thread, if all of them wait; None if one computes, or would like to.

        If it is the same twice, nothing has been computed in between, whatever the load of the machine.
        """
        switches = {}
        try:
            for task in Path(f"/proc/{self.process.pid}/task").iterdir():
                status = (task / "status").read_text(encoding="ascii")
                if "\nState:\tS" not in status:
                    return None
                switches[int(task.name)] = status[status.index("voluntary_ctxt_switches") :]
        except (FileNotFoundError, ProcessLookupError):  # a thread has just ended
            return None
        return switches

    def measure(self, at: float) -> None:
        pid = self.process.pid
        resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
        self.sizes.append(Size(at, resident, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())))


class Daemon:
    """At most one process at a time, always with the same address, storage and folder."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.storage = folder / "vod.db"
        self.lives: list[ProcessRun] = []
        self._environ = {**os.environ, **environ}
        self._port = free_port()

    @property
    def life(self) -> ProcessRun:
        """The last process."""
        return self.lives[-1]

    @property
    def is_running(self) -> bool:
        return bool(self.lives) and self.life.process.poll() is None

    def start(self) -> None:
        """Start the daemon; returns once it can be scraped. Raises AssertionError with its output if it ended."""
        log = self.folder / f"life{len(self.lives):03}.log"
        process = self._started(log)
        self.lives.append(ProcessRun(process, log))
        end = time.monotonic() + _PATIENCE
        while b"listening" not in log.read_bytes():
            assert process.poll() is None, f"it did not start:\n{log.read_text()}"
            assert time.monotonic() < end, f"it did not start within {_PATIENCE:.0f} s:\n{log.read_text()}"
            time.sleep(_GLANCE)

    def fails_to_start(self) -> int:
        """The exit status of a start that is expected to fail."""
        return self._started(self.folder / "refused.log").wait(_PATIENCE)

    def _started(self, log: Path) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "exporter", "serve"]
        argv += ["--log.level=debug", f"--web.listen-address=127.0.0.1:{self._port}", f"--storage.path={self.storage}"]
        with log.open("wb") as stderr:
            return subprocess.Popen(argv, cwd=self.folder, stderr=stderr, env=self._environ)

    def scrape(self) -> str | None:
        """A scrape as by Prometheus; None if the daemon does not run."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/metrics")
                answer = connection.getresponse()
                text = answer.read().decode()
            except (OSError, http.client.HTTPException):
                return None
        assert answer.status == http.client.OK, f"a scrape was answered with {answer.status}: {text}"
        return text

    def send_sighup(self) -> None:
        self.life.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Send SIGKILL; may be called from any thread."""
        self.life.process.send_signal(signal.SIGKILL)

    def ended(self) -> int:
        """The exit status of a process that was stopped or killed."""
        return self.life.process.wait(_PATIENCE)

    def stop(self) -> int:
        """The exit status after SIGTERM."""
        self.life.process.send_signal(signal.SIGTERM)
        return self.ended()

    def stored(self) -> Stored:
        """The current size of the storage."""
        log = Path(f"{self.storage}-wal")
        return Stored(self.storage.stat().st_size, log.stat().st_size if log.exists() else 0)

    def log_violations(self, secrets: Collection[str]) -> list[str]:
        """Tracebacks, warnings and secrets in the logs."""
        logs = {life.log.name: life.log.read_text() for life in self.lives}
        return [
            *(f"{name}: {line}" for name, log in logs.items() for line in log.splitlines() if "Traceback" in line),
            *(f"{name} holds a secret" for name, log in logs.items() if any(secret in log for secret in secrets)),
        ]

    def close(self) -> None:
        """Kill the process if it still runs."""
        if self.is_running:
            self.life.process.kill()
        for life in self.lives:
            life.process.wait()
