"""Standard streams that accept any text in any locale and raise errors of their own; imports nothing slow."""

from __future__ import annotations

import contextlib
import io
import os

TYPE_CHECKING = False  # `typing` takes longer to import than `--version` to run
if TYPE_CHECKING:
    from typing import TextIO


class StdoutError(OSError):
    """Standard output cannot be written, for any other reason than a closed pipe."""


class _Stdout(io.FileIO):
    """Waits where another process made the descriptor non-blocking; raises StdoutError and BrokenPipeError."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # any buffer
        try:
            while (written := super().write(data)) is None:
                _wait_until_writable(self.fileno())
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StdoutError(error.errno, error.strerror) from None
        return written


class _Stderr(_Stdout):
    """Discards text that cannot be written: lost messages change neither the output nor the exit status."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        with contextlib.suppress(OSError):
            return super().write(data)
        return len(data)


def guarded_stdout(stream: TextIO) -> TextIO:
    """Standard output as a stream that raises StdoutError or BrokenPipeError where it cannot be written."""
    return _over(stream, _Stdout)


def guarded_stderr(stream: TextIO) -> TextIO:
    """Standard error as a stream that never raises an error."""
    return _over(stream, _Stderr)


def _over(stream: TextIO, kind: type[_Stdout]) -> TextIO:
    """A stream on the same descriptor, with the same encoding and buffering."""
    assert isinstance(stream, io.TextIOWrapper)  # noqa: S101 - called with what Python opened
    raw: io.RawIOBase = kind(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _wait_until_writable(descriptor: int) -> None:
    import select  # noqa: PLC0415 - rarely needed

    writable = select.poll()
    writable.register(descriptor, select.POLLOUT)
    writable.poll()


def discard(stream: TextIO) -> None:
    """Redirect the descriptor of a stream to /dev/null, so that the flush at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def escape_unencodable(*streams: TextIO | None) -> None:
    """Escape characters that the encoding of a stream lacks instead of raising an error.

    A terminal's locale may be GBK or ASCII only; a title may contain an emoji, and a path a lone surrogate.
    """
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def use_utf8(stream: TextIO | None) -> None:
    """Switch a stream to UTF-8, for formats that are UTF-8 in every locale, like JSON."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def write_utf8(stream: TextIO, data: bytes) -> None:
    """Write UTF-8 data in any locale."""
    stream.flush()
    stream.buffer.write(data)


def as_encoded(stream: TextIO, text: str) -> str:
    """The text as the stream will write it, with escapes."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
