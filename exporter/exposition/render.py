"""A publication becomes exposition bytes, rendered when it changes and not when it is scraped.

All play metrics are gauges, so the same bytes are text 0.0.4, text 1.0.0 and, before its `# EOF`, OpenMetrics 1.0.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.exposition import catalog, labels
from exporter.exposition.catalog import ZERO_ROW
from exporter.exposition.gzip_segments import DeflateSegment, GzipAssembler, compress_segment
from exporter.exposition.text_format import escaped_each, lines, utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.core.model import Slice
    from exporter.core.publication import Publication, PublishedMedia, PublishedSlice
    from exporter.exposition.gzip_segments import GzipPayload

Source = TypeVar("Source")
T = TypeVar("T")

# Text of so many rows compresses about as well by itself as in company: 22.5 bytes a row, where 21 are the least.
_ALONE_ROWS: Final = 64
# Making the bytes of so many rows holds the interpreter's lock for a millisecond; compressed they fill a body.
_MOST_ROWS: Final = 4_096


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What was rendered of one slice.

    * `order`: where it stands among others.
    * `plays`: for each family of `catalog.PLAY`, runs, or the text where it is too little for a run of its own.
    * `about`: the line of each family of `catalog.SLICE`.
    """

    published: PublishedSlice
    order: tuple[str, str, str, str, int]
    plays: tuple[bytes | tuple[DeflateSegment, ...], ...]
    about: tuple[bytes, ...]


class Renderer:
    """Renders one publication after the other and keeps what did not change; one `render` at a time, in any thread."""

    def __init__(self) -> None:
        self._chunks: tuple[_Chunk, ...] = ()
        self._media = _MediaRuns()
        self._assembler = GzipAssembler()

    def render(self, publication: Publication) -> GzipPayload:
        """Render a publication; only slices whose rows or `days_ago` are new are rendered and compressed again.

        Families are contiguous and without samples not mentioned; series are sorted, so that scrapes compress and
        compare well. A lone surrogate in a label value becomes U+FFFD; every other character is kept.
        """
        same = {id(chunk.published): chunk for chunk in self._chunks}
        staying = set(map(id, publication.slices))
        known = {chunk.published.slice: chunk for chunk in self._chunks if id(chunk.published) not in staying}
        chunks = (same.get(id(published)) or _chunk(published, known) for published in publication.slices)
        self._chunks = tuple(sorted(chunks, key=attrgetter("order")))
        self._media.follow(publication.media)
        return self._assembler.assemble(self._runs(self._chunks, publication.days))

    def _runs(self, chunks: Sequence[_Chunk], days: Mapping[int, float]) -> Iterator[DeflateSegment | Sequence[bytes]]:
        """Everything in its order, in runs that are worth being compressed by themselves."""
        together = list(_together(chunks))
        for position, play in enumerate(catalog.PLAY):
            yield from _with_header(play.metric, _plays(together, position))
        yield from _with_header(catalog.MEDIA_DURATION.metric, self._media.durations)
        yield from _with_header(catalog.MEDIA_INFO.metric, self._media.titles)
        for position, family in enumerate(catalog.SLICE):
            lines = [line for chunk in chunks if (line := chunk.about[position])]
            yield from _with_header(family.metric, [lines] if lines else [])
        ago = sorted(days)
        starts = _samples(
            catalog.PLAY_DATE, ("", ""), [*map(labels.day_labels, ago)], [days[days_ago] for days_ago in ago]
        )
        yield from _with_header(catalog.PLAY_DATE.metric, [[starts]] if starts else [])


class _MediaRuns:
    """Title and length of all media, in runs of which only those are made again that have changed."""

    def __init__(self) -> None:
        self._media: tuple[PublishedMedia, ...] = ()
        self._runs: dict[PublishedMedia, tuple[Sequence[PublishedMedia], DeflateSegment, DeflateSegment]] = {}

    def follow(self, media: tuple[PublishedMedia, ...]) -> None:
        """These are all media now."""
        if media is self._media or media == self._media:
            return
        known, self._runs = self._runs, {}
        by_account: defaultdict[str, dict[str, PublishedMedia]] = defaultdict(dict)
        for each in media:
            by_account[each.account][each.media_id] = each
        for account in sorted(by_account):
            ordered = [by_account[account][media_id] for media_id in _in_order(by_account[account])]
            for some in _in_parts(ordered):
                before = known.get(some[0])
                self._runs[some[0]] = before if before is not None and before[0] == some else _described(some)
        self._media = media

    @property
    def durations(self) -> list[DeflateSegment]:
        """How long they are."""
        return [run for _, run, _ in self._runs.values() if run.length]

    @property
    def titles(self) -> list[DeflateSegment]:
        """What they are called."""
        return [run for _, _, run in self._runs.values() if run.length]


def _described(media: Sequence[PublishedMedia]) -> tuple[Sequence[PublishedMedia], DeflateSegment, DeflateSegment]:
    """The runs of some media of one account."""
    around = labels.media_label_affixes(media[0].account), '"}'
    durations = _samples(catalog.MEDIA_DURATION, around, escaped_each([each.media_id for each in media]), media)
    titled = [each for each in media if each.title is not None]
    media_ids, titles = (
        escaped_each([each.media_id for each in titled]),
        escaped_each([each.title or "" for each in titled]),
    )
    called = [f'{media_id}",title="{title}' for media_id, title in zip(media_ids, titles, strict=True)]
    return media, compress_segment(durations), compress_segment(_samples(catalog.MEDIA_INFO, around, called, titled))


def _chunk(published: PublishedSlice, known: Mapping[Slice, _Chunk]) -> _Chunk:
    """Render a slice that was not the very same before; its rows may be."""
    was = known.get(published.slice)
    same = was is not None and was.published.days_ago == published.days_ago and was.published.rows == published.rows
    plays = was.plays if was is not None and same else _rendered(published)
    return _Chunk(published, labels.slice_order(published), plays, _about(published))


def _rendered(published: PublishedSlice) -> tuple[bytes | tuple[DeflateSegment, ...], ...]:
    around = labels.row_label_affixes(published)
    rows = published.rows
    runs: list[list[DeflateSegment]] = [[] for _ in catalog.PLAY]
    for media_ids in _in_parts(list(_in_order(rows))):
        some = [rows[media_id] or ZERO_ROW for media_id in media_ids]
        spelt = escaped_each(media_ids)
        texts = [_samples(family, around, spelt, some) for family in catalog.PLAY]
        if len(rows) < _ALONE_ROWS:
            return tuple(texts)
        for family, text in zip(runs, texts, strict=True):
            if text:
                family.append(compress_segment(text))
    return tuple(map(tuple, runs)) if rows else (b"",) * len(catalog.PLAY)


def _about(published: PublishedSlice) -> tuple[bytes, ...]:
    around = labels.slice_labels(published), ""
    return tuple(_samples(family, around, [""], [published]) for family in catalog.SLICE)


def _samples(
    family: catalog.Family[Source], around: tuple[str, str], middles: Sequence[str], sources: Sequence[Source]
) -> bytes:
    """The lines of a family, one for each source that has a value."""
    before, after = around
    values = list(map(family.value, sources))
    told = [value for value in values if value is not None]
    if len(told) < len(values):
        middles = [middle for middle, value in zip(middles, values, strict=True) if value is not None]
    return lines(f"{family.metric.name}{before}", middles, after, told)


def _together(chunks: Iterable[_Chunk]) -> Iterator[Sequence[_Chunk]]:
    """Chunks that share runs; by their rows, not their bytes, so that new numbers do not move the bounds of others."""
    some: list[_Chunk] = []
    rows = 0
    for chunk in chunks:
        alone = len(chunk.published.rows) >= _ALONE_ROWS
        if some and (alone or rows >= _ALONE_ROWS):
            yield some
            some, rows = [], 0
        if alone:
            yield [chunk]
        else:
            some.append(chunk)
            rows += len(chunk.published.rows)
    if some:
        yield some


def _plays(together: Iterable[Sequence[_Chunk]], position: int) -> list[DeflateSegment | Sequence[bytes]]:
    """The runs of a family."""
    runs: list[DeflateSegment | Sequence[bytes]] = []
    for chunks in together:
        rendered = chunks[0].plays[position]
        if isinstance(rendered, bytes):
            pieces = [text for chunk in chunks if isinstance(text := chunk.plays[position], bytes) and text]
            runs += [pieces] if pieces else []
        else:
            runs += rendered
    return runs


def _in_order(texts: Iterable[str]) -> Iterator[str]:
    """As `sorted`, which would hold the interpreter's lock for 20 ms for 50,000 texts."""
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for text in texts:
        alike[text[:2]].append(text)
    return (text for first in sorted(alike) for text in sorted(alike[first]))


def _in_parts(some: Sequence[T]) -> Iterator[Sequence[T]]:
    return (some[begin : begin + _MOST_ROWS] for begin in range(0, len(some), _MOST_ROWS))


def _with_header(
    metric: catalog.Metric, runs: Sequence[DeflateSegment | Sequence[bytes]]
) -> Iterator[DeflateSegment | Sequence[bytes]]:
    if runs:
        yield [_HEADERS[metric]]
        yield from runs


_HEADERS: Final = {
    metric: utf8(f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n")
    for metric in (
        *(play.metric for play in catalog.PLAY),
        catalog.MEDIA_DURATION.metric,
        catalog.MEDIA_INFO.metric,
        *(family.metric for family in catalog.SLICE),
        catalog.PLAY_DATE.metric,
    )
}
