"""The signal handlers of the process, from its first instruction to its last; imports nothing slow."""

from __future__ import annotations

import atexit
import os
import sys

# These modules are already loaded. `typing` and `signal` (for its enumerations) take longer than the whole start so
# far, and until the handlers are installed Ctrl-C prints a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Final
else:
    import _signal as signal

STOP: Final = (signal.SIGTERM, signal.SIGINT)
# What ends a one-shot command: also the end of its terminal.
INTERRUPT: Final = (*STOP, signal.SIGHUP)
_KILLED_BY: Final = 128


class ProcessSignals:
    """The current meaning of each signal. There is one instance, `PROCESS`.

    * `on_stop`: called for SIGTERM and SIGINT; None: the process exits immediately, there is nothing to finish.
    * `on_hangup`: called for SIGHUP; None: the signal is remembered in `hung_up`.
    * `on_interrupt`: called once for a signal that ends a one-shot command; None: KeyboardInterrupt is raised.
    """

    def __init__(self) -> None:
        self.on_stop: Callable[[], object] | None = None
        self.on_hangup: Callable[[], object] | None = None
        self.on_interrupt: Callable[[], object] | None = None
        self.hung_up = False
        self._daemon = False
        self._status: int | None = None
        self.interrupted_by: int | None = None

    def install(self, *, daemon: bool, reloads: bool) -> None:
        """Install the handlers. A daemon exits with status 0 on a signal; with `reloads`, SIGHUP does not end it."""
        self._daemon = daemon
        for number in STOP:
            # A shell without job control starts background processes with SIGINT ignored; a daemon handles it anyway.
            if daemon or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.stop)
        if reloads:
            signal.signal(signal.SIGHUP, self.hang_up)
        # A process that is started with signals blocked would never receive them.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPT)
        # Registered first, it runs last. Afterwards the interpreter restores the default of every handler, so that a
        # signal would kill it during cleanup; ignored signals stay ignored.
        atexit.register(self._end)

    def stop(self, number: int, _frame: FrameType | None = None) -> None:
        """Handle SIGTERM or SIGINT."""
        if self.on_stop is not None:
            self.on_stop()
        else:
            # No exception: the code that is running at this moment, most likely an import, might catch it.
            os._exit(self._exit_status(number))

    def hang_up(self, _number: int = signal.SIGHUP, _frame: FrameType | None = None) -> None:
        """Handle SIGHUP."""
        self.hung_up = True
        if self.on_hangup is not None:
            self.on_hangup()

    def interrupt(self) -> None:
        """Make signals interrupt a one-shot command, so that it can clean up; signals that are ignored stay ignored.

        Nothing changes if no handler is installed: the signals of a process that calls the command line are its own.
        """
        if self.stop in map(signal.getsignal, STOP):
            for number in INTERRUPT:
                if signal.getsignal(number) in (self.stop, signal.SIG_DFL):
                    signal.signal(number, self._interrupt)

    def interrupted(self) -> int:
        """The exit status of a command that was ended by a signal."""
        return _KILLED_BY + (self.interrupted_by or signal.SIGINT)

    def finish(self, status: int) -> None:
        """Mark the work as done: a later signal ends the process with this status."""
        self._status, self.on_stop = status, None
        for number in INTERRUPT:
            if signal.getsignal(number) == self._interrupt:
                signal.signal(number, self.stop)

    def _end(self) -> None:
        """Ignore signals, and end the process now if a daemon thread still runs.

        When the interpreter is torn down, it ends such a thread where it next needs the GIL. In a library that is not
        written in C, such as bcrypt, this aborts the whole process ("FATAL: exception not rethrown").
        """
        for number in (*STOP, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        threading = sys.modules.get("threading")
        if self._daemon and self._status is not None and threading and threading.active_count() > 1:
            for stream in filter(None, (sys.stdout, sys.stderr)):
                try:  # noqa: SIM105 - contextlib is slow to import
                    stream.flush()
                except (OSError, ValueError):
                    pass
            os._exit(self._status)

    def _interrupt(self, number: int, _frame: FrameType | None = None) -> None:
        self.interrupted_by = self.interrupted_by or number
        if self.on_interrupt is not None:
            cancel, self.on_interrupt = self.on_interrupt, None
            cancel()
            return
        # Another signal must not interrupt the clean-up.
        for each in INTERRUPT:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    def _exit_status(self, number: int) -> int:
        if self._status is not None:
            return self._status
        return 0 if self._daemon else _KILLED_BY + number


PROCESS: Final = ProcessSignals()
