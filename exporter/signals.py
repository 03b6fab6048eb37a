"""The signals of the process, owned from its first moment to its last; imports nothing that takes time."""

from __future__ import annotations

import atexit
import os

# All that is imported here is loaded already: `typing` and `signal`, for its enumerations, take longer than the rest of
# the start up to here, and in that time Ctrl-C would be a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Final
else:
    import _signal as signal

STOP: Final = (signal.SIGTERM, signal.SIGINT)
_KILLED_BY: Final = 128


class ProcessSignals:
    """What a signal means at this moment. There is one process, and so one of these: `PROCESS`.

    * `on_stop`: called for SIGTERM and SIGINT; None: the process ends at once, there is nothing to finish.
    * `on_hangup`: called for SIGHUP; None: the signal is remembered in `hung_up`.
    """

    def __init__(self) -> None:
        self.on_stop: Callable[[], object] | None = None
        self.on_hangup: Callable[[], object] | None = None
        self.hung_up = False
        self._daemon = False
        self._status: int | None = None
        self._terminated = False

    def take(self, *, daemon: bool, reloads: bool) -> None:
        """Handle signals from now on. A daemon ends with status 0 by them; with `reloads` SIGHUP does not end it."""
        self._daemon = daemon
        for number in STOP:
            # A shell without job control starts what runs beside it with SIGINT ignored; that is for a daemon to lift.
            if daemon or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.stop)
        if reloads:
            signal.signal(signal.SIGHUP, self.hang_up)
        # Registered first, it runs last: afterwards the interpreter restores the default of every handler, and would be
        # killed while it cleans up. Ignored signals it leaves alone.
        atexit.register(_ignore)

    def stop(self, number: int, _frame: FrameType | None = None) -> None:
        """Handle SIGTERM or SIGINT."""
        if self.on_stop is not None:
            self.on_stop()
        else:
            # An exception could be lost: whatever is running at this moment, an import most likely, may catch it.
            os._exit(self._exit_status(number))

    def hang_up(self, _number: int = signal.SIGHUP, _frame: FrameType | None = None) -> None:
        """Handle SIGHUP."""
        self.hung_up = True
        if self.on_hangup is not None:
            self.on_hangup()

    def interrupt(self) -> None:
        """From now on signals raise KeyboardInterrupt, so that a command that runs once can clean up."""
        if signal.getsignal(signal.SIGINT) == self.stop:
            # Python's own handler, because asyncio.run replaces no other.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, self._terminate)

    def interrupted(self) -> int:
        """The exit status of a command that a signal has ended."""
        return _KILLED_BY + (signal.SIGTERM if self._terminated else signal.SIGINT)

    def finish(self, status: int) -> None:
        """The work is done: whatever comes now, the process ends with this status."""
        self._status, self.on_stop = status, None
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            for number in STOP:
                signal.signal(number, self.stop)

    def _terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._terminated = True
        signal.raise_signal(signal.SIGINT)

    def _exit_status(self, number: int) -> int:
        if self._status is not None:
            return self._status
        return 0 if self._daemon else _KILLED_BY + number


def _ignore() -> None:
    for number in (*STOP, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


PROCESS: Final = ProcessSignals()
