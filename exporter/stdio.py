"""Standard streams that accept any text in any locale."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


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
