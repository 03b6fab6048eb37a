"""Writes lines in a thread of its own: whoever has a line to write never waits for whoever reads them."""

from __future__ import annotations

import io
import os
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

# Some 5,000 lines.
MOST_BYTES: Final = 1024 * 1024


class LineWriter:
    """Lines for a stream, in order, at most `most_bytes` of them waiting; those that find no room are counted.

    Once a line is dropped, so are the next ones until all that wait are written; then `notice` makes a line that says
    how many were. So a gap has one place, and a slow reader does not get a notice for every other line.
    """

    def __init__(self, stream: TextIO, notice: Callable[[int], str], most_bytes: int = MOST_BYTES) -> None:
        self._write = _raw(stream)
        self._notice = notice
        self._most_bytes = most_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = self._unreported = 0
        self._full = self._closed = self._given_up = self._torn = False
        self.dropped = 0
        # Its lock is reentrant: what the garbage collector frees in between may log as well.
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, text: str) -> None:
        """Take one or more whole lines, or drop them."""
        data = text.encode("utf-8", "backslashreplace")
        with self._changed:
            if self._closed or self._full or (self._bytes and self._bytes + len(data) > self._most_bytes):
                self._full = not self._closed
                self._drop(data)
                return
            self._waiting.append(data)
            self._bytes += len(data)
            self._changed.notify()

    def close(self, seconds: float) -> bool:
        """Write what waits, but wait no longer than so many seconds for that; then the rest is given up.

        Whether there was no rest.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)
        drained = not self._thread.is_alive()
        with self._changed:
            self._given_up = not drained
            self._waiting.clear()
        return drained

    def _run(self) -> None:
        ending = False
        while not ending:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._full or self._closed)
                data = self._waiting.popleft() if self._waiting else None
                ending = self._closed and data is None
                unreported = 0
                # While it is full, what was dropped comes after all that waits.
                if data is None or not self._full:
                    unreported, self._unreported, self._full = self._unreported, 0, False
            reported = not unreported or self._try(self._notice(unreported).encode("utf-8", "backslashreplace"))
            whole = reported and (data is None or self._try(data))
            with self._changed:
                self._unreported += 0 if reported else unreported
                if data is not None:
                    self._bytes -= len(data)
                    if not whole:
                        self._drop(data)

    def _try(self, data: bytes) -> bool:
        """Whether all of it could be written."""
        view = memoryview(b"\n" + data if self._torn else data)
        try:
            while view and not self._given_up:
                view = view[self._write(view) :]
                self._torn = bool(view)
        except (OSError, ValueError):
            # Nobody reads any more, the terminal is gone, the disk is full: nothing that ends the program.
            return False
        return not view

    def _drop(self, data: bytes) -> None:
        lines = data.count(b"\n")
        self.dropped += lines
        self._unreported += lines


class LineStream(io.TextIOBase):
    """What takes the place of `sys.stderr`: whole lines, or what is flushed, go to a function."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, put: Callable[[str], None], instead_of: TextIO) -> None:
        self._put = put
        self._instead_of = instead_of
        self._partial = threading.local()

    def writable(self) -> bool:
        """Yes."""
        return True

    def isatty(self) -> bool:
        """Whether its lines end at a terminal."""
        return self._instead_of.isatty()

    def fileno(self) -> int:
        """Where its lines end."""
        return self._instead_of.fileno()

    def write(self, text: str) -> int:
        """Take text; each thread has lines of its own."""
        whole, newline, rest = (getattr(self._partial, "text", "") + text).rpartition("\n")
        self._partial.text = rest
        if newline:
            self._put(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Make a line of what has no end yet."""
        if text := getattr(self._partial, "text", ""):
            self._partial.text = ""
            self._put(f"{text}\n")


def _raw(stream: TextIO) -> Callable[[memoryview], int]:
    """Write to a stream, past all buffers where it has a descriptor; how many bytes it has taken. Raises OSError."""
    try:
        stream.flush()
        descriptor = stream.fileno()
    except (OSError, ValueError):

        def write_text(data: memoryview) -> int:
            stream.write(str(data, "utf-8"))
            stream.flush()
            return len(data)

        return write_text

    def write(data: memoryview) -> int:
        while True:
            try:
                return os.write(descriptor, data)
            except BlockingIOError:
                # Somebody who has it open as well does not want to wait for it; here a thread can.
                writable = select.poll()
                writable.register(descriptor, select.POLLOUT)
                writable.poll()

    return write
