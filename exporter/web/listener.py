"""Accept connections even when file descriptors run out: reserve some, and evict clients that only wait."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Generator

    from exporter.web.connection_tracker import ConnectionTracker

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RESERVED: Final = 2
# The message of asyncio for an accept() that failed for want of a descriptor.
_OUT_OF_RESOURCES: Final = "socket.accept() out of system resource"


class Listener:
    """A listening socket for asyncio that frees descriptors when none is left.

    With a plain socket, asyncio would log a traceback for every failed accept().
    """

    def __init__(self, listening: socket.socket, tracker: ConnectionTracker) -> None:
        self._listening = listening
        self._tracker = tracker
        self._reserve: list[int] = []
        self._failed_accepts = 0
        self._fill_reserve()

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the socket."""
        return getattr(self._listening, name)

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection and its address.

        Raises BlockingIOError if none is waiting, or if none can be accepted in this iteration of the event loop.
        Raises another OSError if only waiting helps; asyncio then tries again after a second.
        """
        self._fill_reserve()
        while True:
            try:
                accepted = self._listening.accept()
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                if self._reserve:
                    os.close(self._reserve.pop())
                    continue
                # The descriptor is free in the next iteration of the loop; a connection that was accepted just now
                # can be evicted then, too.
                self._failed_accepts = 0 if self._tracker.evict_one() else self._failed_accepts + 1
                if self._failed_accepts and self._failed_accepts % 2 == 0:
                    raise  # asyncio calls accept() once more before it waits
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
            self._failed_accepts = 0
            return accepted

    def close(self) -> None:
        """Stop listening and free the reserved descriptors."""
        while self._reserve:
            os.close(self._reserve.pop())
        self._listening.close()

    def _fill_reserve(self) -> None:
        with contextlib.suppress(OSError):
            while len(self._reserve) < _RESERVED:
                self._reserve.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


@contextlib.contextmanager
def count_exhaustion(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Suppress the traceback that asyncio logs each second; ConnectionTracker logs a summary once a minute."""
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") == _OUT_OF_RESOURCES:
            return
        if before is None:
            loop.default_exception_handler(context)
        else:
            before(loop, context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)
