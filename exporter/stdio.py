"""Standard streams that take any text, whatever the locale can spell."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


def escape_unencodable(*streams: TextIO | None) -> None:
    """From now on, what a stream cannot spell is escaped, as in U+1F600, and never an error.

    A terminal's locale may be GBK or nothing but ASCII; a title may hold an emoji, and a path half a character.
    """
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def use_utf8(stream: TextIO | None) -> None:
    """For formats that are UTF-8 in every locale, as JSON is."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def write_utf8(stream: TextIO, data: bytes) -> None:
    """Write what is UTF-8 in every locale."""
    stream.flush()
    stream.buffer.write(data)


def as_encoded(stream: TextIO, text: str) -> str:
    """The text as the stream will show it."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
