"""Decompress the body of a response to its very end, within a size limit."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_GZIP: Final = zlib.MAX_WBITS | 16
_RAW: Final = -zlib.MAX_WBITS


class ResponseBody:
    """A body that arrives in chunks; `encodings` are `gzip` and `deflate` in the order in which they were applied.

    `content` is what arrived, decompressed; `unreadable` why it cannot be read, empty if it can be.
    """

    def __init__(self, encodings: Sequence[str], largest: int) -> None:
        self._decompressors = [_Decompressor(each, largest) for each in reversed(encodings)]
        self._largest = largest
        self.unreadable = ""
        self.content = bytearray()

    def add(self, chunk: bytes) -> bool:
        """Add a chunk; False if the body cannot be read, whatever follows."""
        try:
            for each in self._decompressors:
                chunk = each.decompress(chunk)
        except zlib.error:
            self.unreadable = "the response cannot be decompressed"
            return False
        self.content += chunk
        if len(self.content) > self._largest:
            self.unreadable = f"the response is longer than {self._largest} bytes"
        return not self.unreadable

    @property
    def is_cut_off(self) -> bool:
        """Whether compressed data ends before its end, so that neither its length nor its checksum was verified."""
        return not all(each.is_complete for each in self._decompressors)


class _Decompressor:
    """Decompression of one encoding; at most `largest` bytes and one more from each chunk."""

    def __init__(self, encoding: str, largest: int) -> None:
        self._is_deflate = encoding == "deflate"
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS if self._is_deflate else _GZIP)
        self._largest = largest

    def decompress(self, chunk: bytes) -> bytes:
        try:
            found = self._zlib.decompress(chunk, self._largest + 1)
        except zlib.error:
            if not self._is_deflate:
                raise
            # Some servers omit zlib's header, contrary to HTTP.
            self._zlib = zlib.decompressobj(_RAW)
            found = self._zlib.decompress(chunk, self._largest + 1)
        self._is_deflate = False
        return found

    @property
    def is_complete(self) -> bool:
        return self._zlib.eof
