"""Take connections also when file descriptors run out: somebody who only waits is sent away for who comes."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import socket

    from exporter.web.limits import Crowd

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listening:
    """A listening socket as asyncio needs it, which by itself would write a traceback per attempt and stop listening.

    A descriptor is kept in reserve for when there is nobody to send away: the next in line is then refused, who would
    keep the loop busy if he were left waiting.
    """

    def __init__(self, listening: socket.socket, crowd: Crowd) -> None:
        self._listening = listening
        self._crowd = crowd
        self._reserve: int | None = None
        self._is_waiting = False
        self._fill_reserve()

    def __getattr__(self, name: str) -> Any:
        """In everything else it is the socket."""
        return getattr(self._listening, name)

    def accept(self) -> tuple[socket.socket, Any]:
        """Give the next connection. Raises BlockingIOError where there is none, or not in this turn of the loop."""
        try:
            accepted = self._listening.accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            # In the next turn, the descriptor of who was sent away is free, and who was just let in is in the crowd.
            if not self._crowd.make_room() and self._is_waiting:
                self._refuse_next()
            self._is_waiting = True
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
        self._is_waiting = False
        return accepted

    def close(self) -> None:
        """Listen no more."""
        self._empty_reserve()
        self._listening.close()

    def _refuse_next(self) -> None:
        """Let somebody in and out. Raises OSError where not even the reserve is enough: asyncio waits a second then."""
        self._empty_reserve()
        try:
            refused, _ = self._listening.accept()
            refused.close()
        finally:
            self._fill_reserve()

    def _fill_reserve(self) -> None:
        try:
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._reserve = None

    def _empty_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
