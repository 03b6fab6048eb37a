"""Take connections also when file descriptors run out: some are kept for them, and who only waits has to go."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Generator

    from exporter.web.connection_limits import ConnectionTracker

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RESERVED: Final = 2
# How asyncio begins what it says of an accept() for which there was no descriptor.
_OUT_OF_RESOURCES: Final = "socket.accept() out of system resource"


class Listener:
    """A listening socket as asyncio needs it, which by itself would write a traceback for each attempt."""

    def __init__(self, listening: socket.socket, tracker: ConnectionTracker) -> None:
        self._listening = listening
        self._tracker = tracker
        self._reserve: list[int] = []
        self._in_vain = 0
        self._fill_reserve()

    def __getattr__(self, name: str) -> Any:
        """In everything else it is the socket."""
        return getattr(self._listening, name)

    def accept(self) -> tuple[socket.socket, Any]:
        """Give the next connection. Raises BlockingIOError where there is none, or not in this turn of the loop.

        Raises another OSError where nothing helps but waiting, which asyncio does for a second then.
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
                # In the next turn its descriptor is free; and who was let in just now can be sent away then.
                self._in_vain = 0 if self._tracker.evict_one() else self._in_vain + 1
                if self._in_vain and self._in_vain % 2 == 0:
                    raise  # and once more before it waits, asyncio asks
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
            self._in_vain = 0
            return accepted

    def close(self) -> None:
        """Listen no more."""
        while self._reserve:
            os.close(self._reserve.pop())
        self._listening.close()

    def _fill_reserve(self) -> None:
        with contextlib.suppress(OSError):
            while len(self._reserve) < _RESERVED:
                self._reserve.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


@contextlib.contextmanager
def count_exhaustion(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Keep the loop from a traceback each second for what the crowd counts and tells once a minute."""
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
