"""Blocks of records: compressed, and sealed with a digest that includes what they belong to."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.storage.json_fields import to_json

if TYPE_CHECKING:
    from collections.abc import Collection

# Encoding holds the GIL; this many rows take less than a millisecond, then the event loop can run.
ROWS_PER_BLOCK: Final = 512
SURROGATES: Final = "surrogatepass"
"""How the codec for UTF-8 treats lone surrogates: they are kept."""
# A block is mostly digits: higher levels save little.
_COMPRESSION: Final = 1
_SEAL_BYTES: Final = 16


class CorruptStorage(ValueError):
    """The file does not contain what was written; the message names the part concerned."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some of the records of an owner: uncompressed JSON and its seal."""

    seal: bytes
    content: bytes

    def packed(self) -> bytes:
        """The records as they are stored."""
        return zlib.compress(self.content, _COMPRESSION)


def block(owner: tuple[object, ...], number: int, records: object) -> Block:
    """The block with this number, from 0."""
    content = to_json(records, ascii_only=False).encode("utf-8", SURROGATES)
    return Block(seal(owner, number, content), content)


def unpacked(owner: tuple[object, ...], number: object, stored_seal: object, packed: object) -> str:
    """The JSON of a stored block. Raises CorruptStorage."""
    try:
        content = zlib.decompress(packed) if isinstance(packed, bytes) else b""
        text = content.decode("utf-8", SURROGATES)
    except (zlib.error, UnicodeDecodeError) as error:
        raise CorruptStorage("a block of records cannot be unpacked") from error
    if stored_seal != seal(owner, number, content):
        raise CorruptStorage("the seal of a block of records does not match")
    return text


def seal(owner: tuple[object, ...], number: object, payload: bytes) -> bytes:
    """A digest of the content of a header (`number` is None) or block, and of the owner and number it belongs to."""
    # JSON contains no NUL, so the boundary between the two is unambiguous.
    return hashlib.blake2b(to_json([owner, number]).encode() + b"\0" + payload, digest_size=_SEAL_BYTES).digest()


def block_count(records: int) -> int:
    """How many blocks this many records take; it doubles instead of growing by one, so that few change their block."""
    return 1 << (max(records - 1, 0) // ROWS_PER_BLOCK).bit_length()


def divided(media_ids: Collection[str], blocks: int) -> list[list[str]]:
    """The media of each block, sorted: by a hash, so that one that is added or removed changes one block."""
    # IDs only: the garbage collector would track tuples of ID and record, and its runs stop the event loop.
    parts: list[list[str]] = [[] for _ in range(blocks)]
    for media_id in media_ids:
        parts[zlib.crc32(media_id.encode("utf-8", SURROGATES)) % blocks].append(media_id)
    # The order of the API changes with every poll; the same records have to give the same bytes.
    return [sorted(part) for part in parts]
