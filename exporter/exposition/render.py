"""Publication → exposition bytes, slice by slice; unchanged slices are not rendered again.

All play metrics are gauges, so the same bytes are valid text 0.0.4, text 1.0.0 and, before `# EOF`, OpenMetrics 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.core.publication import PublishedSlice
from exporter.exposition import catalog
from exporter.exposition.catalog import ZERO_ROW
from exporter.exposition.gzip_segments import DeflateSegment, GzipAssembler, compress_segment
from exporter.exposition.media_segments import MediaSegments
from exporter.exposition.text_format import (
    day_labels,
    escaped_each,
    row_label_affixes,
    samples,
    slice_labels,
    slice_order,
    sorted_pieces,
    utf8,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.core.model import Slice
    from exporter.core.publication import Publication, SettledDay
    from exporter.exposition.gzip_segments import GzipPayload

Source = TypeVar("Source")

# Text of at least this many rows compresses about as well alone as with other text: 22.5 bytes a row instead of 21.
_OWN_SEGMENT_ROWS: Final = 64
# Formatting this many rows holds the GIL for a millisecond.
_MAX_SEGMENT_ROWS: Final = 4_096


@dataclass(frozen=True, slots=True)
class _SliceChunk:
    """A rendered slice, or a rendered settled day.

    * `order`: its sort key.
    * `plays`: for each family about rows, their segments, or the text where that is too short for its own segment.
    * `about`: for each family about the source itself, its line.
    """

    source: PublishedSlice | SettledDay
    order: tuple[str, str, str, str, int]
    plays: tuple[bytes | tuple[DeflateSegment, ...], ...]
    about: tuple[bytes, ...]


class Renderer:
    """Renders successive publications and reuses what did not change; `render` may not run concurrently."""

    def __init__(self) -> None:
        self._chunks: tuple[_SliceChunk, ...] = ()
        self._settled_days: tuple[_SliceChunk, ...] = ()
        self._media = MediaSegments()
        self._assembler = GzipAssembler()

    def render(self, publication: Publication) -> GzipPayload:
        """Render a publication; only slices whose rows or `days_ago` have changed are rendered and compressed again.

        Families are contiguous, and those without samples are omitted; series are sorted, so that scrapes compress well
        and are easy to compare. A lone surrogate in a label value becomes U+FFFD; every other character is kept.
        """
        self._chunks = _chunks_of(self._chunks, publication.slices)
        self._settled_days = _chunks_of(self._settled_days, publication.settled_days)
        self._media.update(publication.media, publication.metadata, publication.categories)
        return self._assembler.assemble(self._segments(publication.days))

    def _segments(self, days: Mapping[int, float]) -> Iterator[DeflateSegment | Sequence[bytes]]:
        """All families in order, in segments of a size that compresses well."""
        yield from _rows(self._chunks, catalog.PLAY)
        yield from _rows(self._settled_days, catalog.SETTLED_PLAYS)
        for metric, segments in self._media.families():
            yield from _with_header(metric, segments)
        yield from _lines_about(self._chunks, catalog.SLICE)
        yield from _lines_about(self._settled_days, (catalog.SETTLED_DATE,))
        ago = sorted(days)
        starts = samples(catalog.PLAY_DATE, ("", ""), [*map(day_labels, ago)], [days[days_ago] for days_ago in ago])
        yield from _with_header(catalog.PLAY_DATE.metric, [[starts]] if starts else [])


def _chunks_of(
    chunks: Iterable[_SliceChunk], sources: Iterable[PublishedSlice | SettledDay]
) -> tuple[_SliceChunk, ...]:
    """The chunks of these sources in order; those of unchanged sources are the same objects."""
    same = {id(chunk.source): chunk for chunk in chunks}
    current = set(map(id, sources))
    known = {chunk.source.slice: chunk for chunk in same.values() if id(chunk.source) not in current}
    return tuple(sorted((same.get(id(each)) or _chunk(each, known) for each in sources), key=attrgetter("order")))


def _chunk(source: PublishedSlice | SettledDay, known: Mapping[Slice, _SliceChunk]) -> _SliceChunk:
    """Render a source that is a new object; its rows may still be unchanged."""
    before = known.get(source.slice)
    order, labels = slice_order(source), slice_labels(source)
    if isinstance(source, PublishedSlice):
        about = _about(catalog.SLICE, labels, source)
    else:
        about = _about((catalog.SETTLED_DATE,), labels, source)
    if before is not None and before.order == order and before.source.rows == source.rows:
        return _SliceChunk(source, order, before.plays, about)
    around = row_label_affixes(source)
    if isinstance(source, PublishedSlice):
        rows = {media_id: row or ZERO_ROW for media_id, row in source.rows.items()}
        return _SliceChunk(source, order, _rendered(catalog.PLAY, around, rows), about)
    return _SliceChunk(source, order, _rendered(catalog.SETTLED_PLAYS, around, source.rows), about)


def _rendered(
    families: Sequence[catalog.Family[Source]], around: tuple[str, str], rows: Mapping[str, Source]
) -> tuple[bytes | tuple[DeflateSegment, ...], ...]:
    segments: list[list[DeflateSegment]] = [[] for _ in families]
    for media_ids in sorted_pieces(rows, _MAX_SEGMENT_ROWS):
        some = [rows[media_id] for media_id in media_ids]
        escaped_ids = escaped_each(media_ids)
        texts = [samples(family, around, escaped_ids, some) for family in families]
        if len(rows) < _OWN_SEGMENT_ROWS:
            return tuple(texts)
        for family, text in zip(segments, texts, strict=True):
            if text:
                family.append(compress_segment(text))
    return tuple(map(tuple, segments)) if rows else (b"",) * len(families)


def _about(families: Iterable[catalog.Family[Source]], label_text: str, source: Source) -> tuple[bytes, ...]:
    return tuple(samples(family, (label_text, ""), [""], [source]) for family in families)


def _sharing_segments(chunks: Iterable[_SliceChunk]) -> Iterator[Sequence[_SliceChunk]]:
    """Group the chunks that share segments by rows, not bytes, so that new numbers do not move the bounds of groups."""
    some: list[_SliceChunk] = []
    rows = 0
    for chunk in chunks:
        alone = len(chunk.source.rows) >= _OWN_SEGMENT_ROWS
        if some and (alone or rows >= _OWN_SEGMENT_ROWS):
            yield some
            some, rows = [], 0
        if alone:
            yield [chunk]
        else:
            some.append(chunk)
            rows += len(chunk.source.rows)
    if some:
        yield some


def _rows(
    chunks: Iterable[_SliceChunk], families: Iterable[catalog.Family[Source]]
) -> Iterator[DeflateSegment | Sequence[bytes]]:
    """The families of the rows of chunks."""
    groups = list(_sharing_segments(chunks))
    for position, family in enumerate(families):
        yield from _with_header(family.metric, _plays(groups, position))


def _lines_about(
    chunks: Iterable[_SliceChunk], families: Iterable[catalog.Family[Source]]
) -> Iterator[DeflateSegment | Sequence[bytes]]:
    """The families about chunks themselves."""
    for position, family in enumerate(families):
        lines = [line for chunk in chunks if (line := chunk.about[position])]
        yield from _with_header(family.metric, [lines] if lines else [])


def _plays(groups: Iterable[Sequence[_SliceChunk]], position: int) -> list[DeflateSegment | Sequence[bytes]]:
    """The segments of a family."""
    segments: list[DeflateSegment | Sequence[bytes]] = []
    for chunks in groups:
        rendered = chunks[0].plays[position]
        if isinstance(rendered, bytes):
            pieces = [text for chunk in chunks if isinstance(text := chunk.plays[position], bytes) and text]
            segments += [pieces] if pieces else []
        else:
            segments += rendered
    return segments


def _with_header(
    metric: catalog.Metric, segments: Sequence[DeflateSegment | Sequence[bytes]]
) -> Iterator[DeflateSegment | Sequence[bytes]]:
    if segments:
        yield [_header(metric)]
        yield from segments


@cache
def _header(metric: catalog.Metric) -> bytes:
    return utf8(f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n")
