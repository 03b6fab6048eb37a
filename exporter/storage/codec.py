"""Slices as JSON and back, without loss: ints of any size, floats with the sign of zero; independent of the database.

A slice is stored as a header and blocks of rows, which refer to their freshness by its index in the header: a poll that
finds the same numbers changes the header only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from exporter.core.fields import NUMBERS
from exporter.core.model import Dimensions, Freshness, Measure, MediaRecord, PlayRow, Ranking, Slice, SliceData
from exporter.storage.blocks import SURROGATES, Block, CorruptStorage, block, block_count, divided, seal, unpacked
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

# Fields of stored slices that keep the names which they have in existing files.
_FRESHNESS: Final = "heard"
_LISTED: Final = "swept"
_LAST_RESPONSE_AT: Final = "asked_at"
_UNATTRIBUTED: Final = "nobodys"
_FRESHNESS_OF_ROWS: Final = "rows_heard"
_FRESHNESS_OF_ZEROS: Final = "zeros_heard"

# In the order of PlayRow's fields, after media_id and title.
_COLUMNS: Final[Mapping[str, Callable[[PlayRow], int | float | None]]] = {
    field.attribute: attrgetter(field.attribute) for field in NUMBERS
}


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """A slice without its records, which are stored in `parts` blocks and refer to `freshness` by index."""

    data: SliceData
    freshness: tuple[Freshness, ...]
    parts: int


def key(slice_: Slice) -> Key:
    """Account, terminal type, OS, region and play date as they are stored in their columns."""
    filters = slice_.dimensions
    return slice_.account, filters.terminal_type, filters.os, filters.region, slice_.play_date.isoformat()


def header_of(data: SliceData) -> SliceHeader:
    """The header of a slice, whose records have the media ID of their rows as key.

    The newest freshness comes first, so that its index stays the same from poll to poll.
    """
    freshness = {record.freshness for record in data.records.values()}
    freshness.update(ranking.freshness for ranking in data.rankings.values())
    if data.listed is not None:
        freshness.add(data.listed)
    ordered = sorted(freshness, key=lambda each: (each.observed_at, each.confirmations, each.settled), reverse=True)
    return SliceHeader(data, tuple(ordered), block_count(len(data.records)))


def encode_header(header: SliceHeader) -> tuple[str, bytes]:
    """The header as JSON, and its seal."""
    data, index = header.data, {freshness: position for position, freshness in enumerate(header.freshness)}
    text = to_json(
        {
            _FRESHNESS: [
                [freshness.observed_at, freshness.confirmations, freshness.settled] for freshness in header.freshness
            ],
            _LISTED: None if data.listed is None else index[data.listed],
            "rankings": {
                by.value: [ranking.n, index[ranking.freshness], ranking.media_ids]
                for by, ranking in data.rankings.items()
            },
            "total": data.total,
            "total_at": data.total_at,
            "updated_at": data.updated_at,
            _LAST_RESPONSE_AT: data.last_response_at,
            "ready": data.ready,
            _UNATTRIBUTED: data.unattributed_rows,
            "parts": header.parts,
        }
    )
    return text, seal(key(data.slice), None, text.encode())


def encode_blocks(header: SliceHeader) -> Iterator[Block]:
    """The blocks, each as columns: media IDs and freshness of rows and of zeros, then the fields of the rows."""
    index = {freshness: position for position, freshness in enumerate(header.freshness)}
    owner, records = key(header.data.slice), header.data.records
    for number, media_ids in enumerate(divided(records, header.parts)):
        known = [(media_id, records[media_id]) for media_id in media_ids]
        rows = [record.row for _, record in known if record.row is not None]
        columns = {
            "rows": [media_id for media_id, record in known if record.row is not None],
            _FRESHNESS_OF_ROWS: [index[record.freshness] for _, record in known if record.row is not None],
            "zeros": [media_id for media_id, record in known if record.row is None],
            _FRESHNESS_OF_ZEROS: [index[record.freshness] for _, record in known if record.row is None],
            "title": [row.title for row in rows],
            **{name: list(map(value, rows)) for name, value in _COLUMNS.items()},
        }
        yield block(owner, number, columns)


def decode_header(columns: tuple[object, ...], stored_seal: object, text: object) -> SliceHeader:
    """Decode the output of `encode_header`; `columns` are those of `key`. Raises CorruptStorage."""
    slice_ = _slice(columns)
    if not isinstance(text, str) or stored_seal != seal(key(slice_), None, text.encode("utf-8", SURROGATES)):
        raise CorruptStorage("the seal of a slice does not match")
    try:
        document = from_json(text)
        freshness = tuple(
            Freshness(a_time(at), a_whole(confirmations), settled=a_flag(settled))
            for at, confirmations, settled in document[_FRESHNESS]
        )
        rankings = {
            Measure(by): Ranking(a_whole(n), tuple(map(a_text, media_ids)), freshness[a_whole(index)])
            for by, (n, index, media_ids) in document["rankings"].items()
        }
        data = SliceData(
            slice_,
            listed=None if document[_LISTED] is None else freshness[a_whole(document[_LISTED])],
            rankings=rankings,
            total=None if document["total"] is None else a_whole(document["total"]),
            total_at=a_time(document["total_at"]),
            updated_at=None if document["updated_at"] is None else a_time(document["updated_at"]),
            last_response_at=a_time(document[_LAST_RESPONSE_AT]),
            ready=a_flag(document["ready"]),
            unattributed_rows=a_whole(document.get(_UNATTRIBUTED, 0)),  # files of 0.1.0 lack it
        )
        return SliceHeader(data, freshness, a_whole(document["parts"]))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise CorruptStorage("a slice has invalid values") from error


class Reader:
    """Reassembles slices; media IDs and titles that several slices share are kept in memory once."""

    def __init__(self) -> None:
        self._texts: dict[str | None, str | None] = {}

    def slice(self, header: SliceHeader, parts: Mapping[int, tuple[object, object]]) -> SliceData:
        """The slice of a header and, by number, the seal and packed records of each block. Raises CorruptStorage."""
        if len(parts) != header.parts or parts.keys() != set(range(len(parts))):
            raise CorruptStorage("records of a slice are missing")
        records: dict[str, MediaRecord] = {}
        for number, (stored_seal, packed) in parts.items():
            self._read(unpacked(key(header.data.slice), number, stored_seal, packed), header.freshness, records)
        return replace(header.data, records=records)

    def _read(self, text: str, freshness: tuple[Freshness, ...], records: dict[str, MediaRecord]) -> None:
        try:
            document = from_json(text)
            titles = self._shared(document["title"], {str, NoneType})
            # A file written before this field existed has no column for it.
            absent = [None] * len(titles)
            numbers = [a_column(document.get(name, absent), {int, float, NoneType}) for name in _COLUMNS]
            media_ids, zeros = self._shared(document["rows"], {str}), self._shared(document["zeros"], {str})
            row_freshness, zero_freshness = (
                _freshness(document[name], freshness) for name in (_FRESHNESS_OF_ROWS, _FRESHNESS_OF_ZEROS)
            )
            if {len(row_freshness), len(titles), *map(len, numbers)} != {len(media_ids)}:
                raise CorruptStorage("columns of unequal length")
            zero = {each: MediaRecord(None, each) for each in zero_freshness}
            records.update(zip(zeros, map(zero.__getitem__, zero_freshness), strict=True))
            records.update(
                zip(media_ids, map(MediaRecord, map(PlayRow, media_ids, titles, *numbers), row_freshness), strict=True)
            )
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise CorruptStorage("records of a slice have invalid values") from error

    def _shared(self, texts: list[Any], types: set[type]) -> list[Any]:
        return list(map(self._texts.setdefault, a_column(texts, types), texts))


def decode_calls(account: object, day: object, calls: object, stored_seal: object) -> tuple[str, date, int]:
    """The account, day and number of calls that `encode_calls` encoded. Raises CorruptStorage."""
    try:
        decoded = a_text(account), a_date(day), a_whole(calls)
    except (ValueError, TypeError) as error:
        raise CorruptStorage("a count of calls is invalid") from error
    if encode_calls(*decoded)[-1] != stored_seal:
        raise CorruptStorage("the seal of a count of calls does not match")
    return decoded


def encode_calls(account: str, day: date, calls: int) -> tuple[str, str, int, bytes]:
    """The columns of a count of calls, its seal last."""
    text = day.isoformat()
    return account, text, calls, seal((account, text), None, str(calls).encode())


def _slice(columns: tuple[object, ...]) -> Slice:
    try:
        account, terminal_type, os, region, play_date = columns
        filters = [None if each is None else a_text(each) for each in (terminal_type, os, region)]
        return Slice(a_text(account), Dimensions(*filters), a_date(play_date))
    except (ValueError, TypeError) as error:
        raise CorruptStorage("a slice has no account, filters and play date") from error


def _freshness(places: list[Any], freshness: tuple[Freshness, ...]) -> list[Freshness]:
    if places and min(a_column(places, {int})) < 0:
        raise ValueError("a negative index")
    return list(map(freshness.__getitem__, places))
