"""Slices as JSON and back, exactly: an int stays an int of any size, a float keeps its sign of zero; knows no database.

A slice is its facts and its answers. Answers lie in parts by a hash of their media ID, so that a media that comes or
goes changes one part, and name what was heard by its place in a list among the facts: a poll that finds nothing new
changes the facts alone. Each piece is sealed with a digest that covers which slice and part it belongs to.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from dataclasses import dataclass, replace
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from exporter.core.fields import NUMBERS
from exporter.core.model import Dimensions, Freshness, Measure, MediaRecord, PlayRow, Ranking, Slice, SliceData
from exporter.storage.json_fields import (
    a_column,
    a_date,
    a_flag,
    a_text,
    a_time,
    a_whole,
    from_json,
    to_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    Key = tuple[str, str | None, str | None, str | None, str]

# Encoding holds the interpreter's lock; so many rows take less than a millisecond, and the event loop gets its turn.
ROWS_PER_BLOCK: Final = 512
# A part is mostly digits: what more effort saves is little.
_COMPRESSION: Final = 1
_SEAL_BYTES: Final = 16
# In the order of PlayRow's fields, after media_id and title.
_NUMBERS: Final[Mapping[str, Callable[[PlayRow], int | float | None]]] = {
    field.attribute: attrgetter(field.attribute) for field in NUMBERS
}
_HALF_CHARACTERS: Final = "surrogatepass"


class CorruptStorage(ValueError):
    """What was read is not what was written; the message says what."""


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Some of the answers of a slice: JSON, not yet compressed, and its seal."""

    seal: bytes
    answers: bytes

    def packed(self) -> bytes:
        """The answers as they are stored."""
        return zlib.compress(self.answers, _COMPRESSION)


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """All of a slice but its answers, which lie in so many `parts` and refer to `freshness`."""

    data: SliceData
    freshness: tuple[Freshness, ...]
    parts: int


def key(slice_: Slice) -> Key:
    """Account, terminal type, OS, region and play date as they stand in their columns."""
    filters = slice_.dimensions
    return slice_.account, filters.terminal_type, filters.os, filters.region, slice_.play_date.isoformat()


def facts(data: SliceData) -> SliceHeader:
    """The facts of a slice, whose answers go by the media ID of their rows.

    What was heard last comes first, so that its place stays the same from poll to poll.
    """
    freshness = {answer.freshness for answer in data.answers.values()}
    freshness.update(ranking.freshness for ranking in data.rankings.values())
    if data.listed is not None:
        freshness.add(data.listed)
    ordered = sorted(freshness, key=lambda each: (each.at, each.confirmations, each.settled), reverse=True)
    # Twice as many parts, not one more: a media then moves seldom.
    parts = 1 << (max(len(data.answers) - 1, 0) // ROWS_PER_BLOCK).bit_length()
    return SliceHeader(data, tuple(ordered), parts)


def encode_header(given: SliceHeader) -> tuple[str, bytes]:
    """The facts as JSON, and their seal."""
    data, place = given.data, {freshness: index for index, freshness in enumerate(given.freshness)}
    text = to_json(
        {
            "heard": [[freshness.at, freshness.confirmations, freshness.settled] for freshness in given.freshness],
            "swept": None if data.listed is None else place[data.listed],
            "rankings": {
                by.value: [ranking.n, place[ranking.freshness], ranking.media_ids]
                for by, ranking in data.rankings.items()
            },
            "total": data.total,
            "total_at": data.total_at,
            "updated_at": data.updated_at,
            "asked_at": data.last_response_at,
            "ready": data.ready,
            "nobodys": data.unattributed_rows,
            "parts": given.parts,
        }
    )
    return text, seal(key(data.slice), None, text.encode())


def encode_blocks(given: SliceHeader) -> Iterator[RowBlock]:
    """The answers, part by part, as columns: media IDs and where heard, of rows and of zeros, then what rows say."""
    place = {freshness: index for index, freshness in enumerate(given.freshness)}
    # Of IDs alone: a collection that keeps an object per answer alive would have the garbage collector stop the loop.
    parts: defaultdict[int, list[str]] = defaultdict(list)
    for media_id in given.data.answers:
        parts[zlib.crc32(media_id.encode("utf-8", _HALF_CHARACTERS)) % given.parts].append(media_id)
    whose = key(given.data.slice)
    for number in range(given.parts):
        # The service's order changes with every poll; the same answers are to be the same bytes.
        known = [(media_id, given.data.answers[media_id]) for media_id in sorted(parts.pop(number, []))]
        rows = [answer.row for _, answer in known if answer.row is not None]
        columns = {
            "rows": [media_id for media_id, answer in known if answer.row is not None],
            "rows_heard": [place[answer.freshness] for _, answer in known if answer.row is not None],
            "zeros": [media_id for media_id, answer in known if answer.row is None],
            "zeros_heard": [place[answer.freshness] for _, answer in known if answer.row is None],
            "title": [row.title for row in rows],
            **{name: list(map(value, rows)) for name, value in _NUMBERS.items()},
        }
        answers = to_json(columns, ascii_only=False).encode("utf-8", _HALF_CHARACTERS)
        yield RowBlock(seal(whose, number, answers), answers)


def decode_header(columns: tuple[object, ...], sealed: object, text: object) -> SliceHeader:
    """What `encode_header` made, of the columns of `key`. Raises Damaged."""
    slice_ = _slice(columns)
    if not isinstance(text, str) or sealed != seal(key(slice_), None, text.encode("utf-8", _HALF_CHARACTERS)):
        raise CorruptStorage("a slice is not as it was sealed")
    try:
        told = from_json(text)
        freshness = tuple(
            Freshness(a_time(at), a_whole(confirmations), settled=a_flag(settled))
            for at, confirmations, settled in told["heard"]
        )
        rankings = {
            Measure(by): Ranking(a_whole(n), tuple(map(a_text, media_ids)), freshness[a_whole(place)])
            for by, (n, place, media_ids) in told["rankings"].items()
        }
        data = SliceData(
            slice_,
            listed=None if told["swept"] is None else freshness[a_whole(told["swept"])],
            rankings=rankings,
            total=None if told["total"] is None else a_whole(told["total"]),
            total_at=a_time(told["total_at"]),
            updated_at=None if told["updated_at"] is None else a_time(told["updated_at"]),
            last_response_at=a_time(told["asked_at"]),
            ready=a_flag(told["ready"]),
            unattributed_rows=a_whole(told.get("nobodys", 0)),  # files of 0.1 do not have it
        )
        return SliceHeader(data, freshness, a_whole(told["parts"]))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise CorruptStorage("a slice has facts that make no sense") from error


class Reader:
    """Puts slices together again; media IDs and titles that many slices name are kept once."""

    def __init__(self) -> None:
        self._texts: dict[str | None, str | None] = {}

    def slice(self, given: SliceHeader, parts: Mapping[int, tuple[object, object]]) -> SliceData:
        """The whole slice of its facts, and the seal and packed answers of each part. Raises Damaged."""
        if len(parts) != given.parts or parts.keys() != set(range(len(parts))):
            raise CorruptStorage("answers of a slice are missing")
        answers: dict[str, MediaRecord] = {}
        for number, (sealed, packed) in parts.items():
            self._read(_unpacked(given, number, sealed, packed), given.freshness, answers)
        return replace(given.data, answers=answers)

    def _read(self, payload: bytes, freshness: tuple[Freshness, ...], answers: dict[str, MediaRecord]) -> None:
        try:
            told = from_json(payload.decode("utf-8", _HALF_CHARACTERS))
            titles = self._shared(told["title"], {str, NoneType})
            # A file written before there was a field has no column for it.
            absent = [None] * len(titles)
            numbers = [a_column(told.get(name, absent), {int, float, NoneType}) for name in _NUMBERS]
            media_ids, zeros = self._shared(told["rows"], {str}), self._shared(told["zeros"], {str})
            rows_heard, zeros_heard = (_freshness(told[name], freshness) for name in ("rows_heard", "zeros_heard"))
            if {len(rows_heard), len(titles), *map(len, numbers)} != {len(media_ids)}:
                raise CorruptStorage("columns of unequal length")
            zero = {each: MediaRecord(None, each) for each in zeros_heard}
            answers.update(zip(zeros, map(zero.__getitem__, zeros_heard), strict=True))
            answers.update(
                zip(media_ids, map(MediaRecord, map(PlayRow, media_ids, titles, *numbers), rows_heard), strict=True)
            )
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise CorruptStorage("answers of a slice make no sense") from error

    def _shared(self, texts: list[Any], types: set[type]) -> list[Any]:
        return list(map(self._texts.setdefault, a_column(texts, types), texts))


def seal(whose: tuple[object, ...], number: int | None, payload: bytes) -> bytes:
    """A digest of a piece and of where it belongs."""
    # JSON has no NUL: where the place ends and the piece begins is never in doubt.
    return hashlib.blake2b(to_json([whose, number]).encode() + b"\0" + payload, digest_size=_SEAL_BYTES).digest()


def decode_calls(account: object, day: object, calls: object, sealed: object) -> tuple[str, date, int]:
    """An account, a day and the calls it has spent, as `encode_calls` wrote them. Raises Damaged."""
    try:
        told = a_text(account), a_date(day), a_whole(calls)
    except (ValueError, TypeError) as error:
        raise CorruptStorage("a count of calls makes no sense") from error
    if encode_calls(*told)[-1] != sealed:
        raise CorruptStorage("a count of calls is not as it was sealed")
    return told


def encode_calls(account: str, day: date, calls: int) -> tuple[str, str, int, bytes]:
    """The columns of a count of calls, its seal last."""
    text = day.isoformat()
    return account, text, calls, seal((account, text), None, str(calls).encode())


def _unpacked(given: SliceHeader, number: int, sealed: object, packed: object) -> bytes:
    try:
        payload = zlib.decompress(packed) if isinstance(packed, bytes) else b""
    except zlib.error as error:
        raise CorruptStorage("answers of a slice cannot be unpacked") from error
    if sealed != seal(key(given.data.slice), number, payload):
        raise CorruptStorage("answers of a slice are not as they were sealed")
    return payload


def _slice(columns: tuple[object, ...]) -> Slice:
    try:
        account, terminal_type, os, region, play_date = columns
        filters = [None if each is None else a_text(each) for each in (terminal_type, os, region)]
        return Slice(a_text(account), Dimensions(*filters), a_date(play_date))
    except (ValueError, TypeError) as error:
        raise CorruptStorage("a slice has no account, filters and play date") from error


def _freshness(places: list[Any], freshness: tuple[Freshness, ...]) -> list[Freshness]:
    if places and min(a_column(places, {int})) < 0:
        raise ValueError("a place before the first")
    return list(map(freshness.__getitem__, places))
