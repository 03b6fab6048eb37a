"""The header of a -wal file: SQLite ignores a file without a valid one, and overwrites it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# SQLite's file format, "WAL File Format"; the last bit of the magic number is the byte order of the checksum.
_MAGIC: Final = 0x377F0682
_VERSION: Final = 3_007_000
_HEADER: Final = struct.Struct(">8I")
_SUMMED_WORDS: Final = 6
_BLOCK_BYTES: Final = 1024 * 1024


def is_readable(wal: Path) -> bool:
    """Whether SQLite reads the file, or there is nothing in it: no bytes, or zeros after a power failure.

    Raises OSError.
    """
    with wal.open("rb") as file:
        content = file.read(_HEADER.size)
        if len(content) == _HEADER.size and _is_valid(content):
            return True
        while content:
            if content.strip(b"\0"):
                return False
            content = file.read(_BLOCK_BYTES)
    return True


def _is_valid(header: bytes) -> bool:
    magic, version, *_, first_sum, second_sum = _HEADER.unpack(header)
    if magic & ~1 != _MAGIC or version != _VERSION:
        return False
    words = struct.unpack_from(f"{'>' if magic & 1 else '<'}{_SUMMED_WORDS}I", header)
    first = second = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return (first, second) == (first_sum, second_sum)
