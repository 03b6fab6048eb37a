"""Pieces of text → one gzip member, of which only what changed is compressed again; knows no metric.

A gzip member may hold any number of deflate blocks. When compression starts afresh at a byte boundary, what came out
before it and after it can be put together in any company, so each run of pieces is compressed once and kept, and only
checksums are combined. Not every client reads a second gzip member, so there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Measured on 14 MB of 100,000 samples: 12 ms; level 3 makes it no smaller in 70, zlib's level 1 larger in 130.
_LEVEL: Final = 1
_RAW_DEFLATE: Final = -15
# No name, no time, compressed for speed, made on nobody cares what (RFC 1952).
_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"


@dataclass(frozen=True, slots=True)
class Packed:
    """The beginning of a gzip member: `body` holds `length` bytes of text with the checksum `crc`."""

    body: bytes = field(repr=False)
    crc: int
    length: int

    def followed_by(self, more: bytes) -> bytes:
        """The whole member, with `more` at its end."""
        packing = isal_zlib.compressobj(_LEVEL, wbits=_RAW_DEFLATE)
        crc = isal_zlib.crc32_combine(self.crc, isal_zlib.crc32(more), len(more))
        trailer = crc.to_bytes(4, "little") + ((self.length + len(more)) & 0xFFFFFFFF).to_bytes(4, "little")
        return b"".join((self.body, packing.compress(more), packing.flush(), trailer))


@dataclass(frozen=True, slots=True)
class _Run:
    """Some pieces in a row, compressed by themselves; it holds on to the pieces, so that their `id` stays theirs."""

    pieces: tuple[bytes, ...]
    deflated: bytes
    crc: int
    length: int


class Packer:
    """Compresses one sequence of pieces after the other; what is the very same object as before is not compressed."""

    def __init__(self) -> None:
        self._runs: dict[tuple[int, ...], _Run] = {}

    def pack(self, runs: Iterable[Sequence[bytes]]) -> Packed:
        """The pieces of all runs, one after the other, as the beginning of one gzip member.

        A run is compressed again when any of its pieces is another one; from some 64 KiB on, runs are no worse than all
        in one.
        """
        known, self._runs = self._runs, {}
        crc = length = 0
        parts = [_HEADER]
        for pieces in runs:
            key = tuple(map(id, pieces))
            run = self._runs[key] = known.get(key) or _run(pieces)
            parts.append(run.deflated)
            crc = isal_zlib.crc32_combine(crc, run.crc, run.length)
            length += run.length
        return Packed(b"".join(parts), crc, length)


def _run(pieces: Sequence[bytes]) -> _Run:
    text = b"".join(pieces)
    packing = isal_zlib.compressobj(_LEVEL, wbits=_RAW_DEFLATE)
    deflated = packing.compress(text) + packing.flush(isal_zlib.Z_FULL_FLUSH)
    return _Run(tuple(pieces), deflated, isal_zlib.crc32(text), len(text))
