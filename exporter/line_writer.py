"""Writes lines in a separate thread, so that a slow reader of the stream never blocks the caller."""

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
    """Writes lines to a stream in order, with at most `most_bytes` pending; lines beyond that are dropped and counted.

    After a dropped line all further ones are dropped until the pending ones are written; then `notice(dropped)` is
    written. So lines are missing in one place only, and a slow reader does not get a notice for every other line.
    """

    def __init__(self, stream: TextIO, notice: Callable[[int], str], most_bytes: int = MOST_BYTES) -> None:
        self._write = _raw(stream)
        self._notice = notice
        self._most_bytes = most_bytes
        self._pending: deque[bytes] = deque()
        self._bytes = self._unreported = 0
        self._full = self._closed = self._discarding = self._line_incomplete = False
        self.dropped = 0
        # Its lock is reentrant: a finalizer that the garbage collector runs while it is locked may log as well.
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, text: str) -> None:
        """Queue one or more whole lines, or drop them."""
        data = text.encode("utf-8", "backslashreplace")
        with self._changed:
            if self._closed or self._full or (self._bytes and self._bytes + len(data) > self._most_bytes):
                self._full = not self._closed
                self._drop(data)
                return
            self._pending.append(data)
            self._bytes += len(data)
            self._changed.notify()

    def close(self, seconds: float) -> bool:
        """Wait up to `seconds` until pending lines are written, and discard the rest.

        Returns whether all were written.
        """
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)
        drained = not self._thread.is_alive()
        with self._changed:
            self._discarding = not drained
            self._pending.clear()
        return drained

    def _run(self) -> None:
        ending = False
        while not ending:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._full or self._closed)
                data = self._pending.popleft() if self._pending else None
                ending = self._closed and data is None
                unreported = 0
                # While the queue is full, the notice of dropped lines follows all pending lines.
                if data is None or not self._full:
                    unreported, self._unreported, self._full = self._unreported, 0, False
            reported = not unreported or self._write_all(self._notice(unreported).encode("utf-8", "backslashreplace"))
            whole = reported and (data is None or self._write_all(data))
            with self._changed:
                self._unreported += 0 if reported else unreported
                if data is not None:
                    self._bytes -= len(data)
                    if not whole:
                        self._drop(data)

    def _write_all(self, data: bytes) -> bool:
        """Write data; returns whether all of it was written."""
        view = memoryview(b"\n" + data if self._line_incomplete else data)
        try:
            while view and not self._discarding:
                view = view[self._write(view) :]
                self._line_incomplete = bool(view)
        except Exception:  # noqa: BLE001 - nothing may end the thread: a closed pipe, a full disk, no memory
            return False
        return not view

    def _drop(self, data: bytes) -> None:
        lines = data.count(b"\n")
        self.dropped += lines
        self._unreported += lines


class LineStream(io.TextIOBase):
    """A replacement of `sys.stderr` that passes whole lines, and flushed text, to a function."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, put: Callable[[str], None], instead_of: TextIO) -> None:
        self._put = put
        self._instead_of = instead_of
        self._partial = threading.local()

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Whether the replaced stream is a terminal."""
        return self._instead_of.isatty()

    def fileno(self) -> int:
        """The file descriptor of the replaced stream."""
        return self._instead_of.fileno()

    def write(self, text: str) -> int:
        """Buffer text until its line is complete; each thread has its own buffer."""
        whole, newline, rest = (getattr(self._partial, "text", "") + text).rpartition("\n")
        self._partial.text = rest
        if newline:
            self._put(whole + newline)
        return len(text)

    def flush(self) -> None:
        """Pass on an incomplete line."""
        if text := getattr(self._partial, "text", ""):
            self._partial.text = ""
            self._put(f"{text}\n")


def _raw(stream: TextIO) -> Callable[[memoryview], int]:
    """A function that writes to a stream, unbuffered where it has a descriptor, and returns the bytes written.

    The function raises OSError.
    """
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
                # Another process has made the shared descriptor non-blocking; this thread may wait.
                writable = select.poll()
                writable.register(descriptor, select.POLLOUT)
                writable.poll()

    return write
