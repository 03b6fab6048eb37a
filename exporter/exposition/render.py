"""A publication becomes exposition bytes, rendered when it changes and not when it is scraped.

All play metrics are gauges, so the same bytes are text 0.0.4, text 1.0.0 and, before its `# EOF`, OpenMetrics 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from exporter.exposition import catalog, labels
from exporter.exposition.catalog import NO_PLAYS
from exporter.exposition.packing import Packed, Packer
from exporter.exposition.text import number, utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.core.model import PlayRow, Slice
    from exporter.core.publication import Publication, PublishedMedia, PublishedSlice

Source = TypeVar("Source")

# So many rows of a family are some 64 KiB of text, which compresses as well as all in one; few slices have as many.
_RUN_ROWS: Final = 400


@dataclass(frozen=True, slots=True)
class Rendered:
    """The play metrics of one instant as bytes, and as the beginning of a gzip member that a scrape finishes."""

    pieces: tuple[bytes, ...] = field(repr=False)
    packed: Packed

    @property
    def plain(self) -> bytes:
        """The bytes in one."""
        return b"".join(self.pieces)

    def followed_by(self, more: bytes) -> bytes:
        """Give the bytes with `more` after them."""
        return b"".join((*self.pieces, more))

    def gzip_followed_by(self, more: bytes) -> bytes:
        """Give the bytes with `more` after them, as one gzip member."""
        return self.packed.followed_by(more)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The samples of one slice, a piece for each family of `catalog.PLAY`, and what they were rendered from."""

    days_ago: int
    rows: Mapping[str, PlayRow | None]
    pieces: tuple[bytes, ...]

    def shows(self, published: PublishedSlice) -> bool:
        return self.days_ago == published.days_ago and self.rows == published.rows


class Renderer:
    """Renders one publication after the other and keeps what did not change; one `render` at a time, in any thread."""

    def __init__(self) -> None:
        self._chunks: dict[Slice, _Chunk] = {}
        self._media: tuple[PublishedMedia, ...] = ()
        self._media_pieces: tuple[bytes, bytes] = (b"", b"")
        self._packer = Packer()

    def render(self, publication: Publication) -> Rendered:
        """Render a publication; only slices whose rows or `days_ago` are new are rendered and compressed again.

        Families are contiguous and without samples not mentioned; series are sorted, so that scrapes compress and
        compare well. A lone surrogate in a label value becomes U+FFFD; every other character is kept.
        """
        slices = sorted(publication.slices, key=labels.slice_order)
        self._chunks = {published.slice: self._chunk(published) for published in slices}
        if publication.media != self._media:
            self._media, self._media_pieces = publication.media, _media_pieces(publication.media)
        runs = list(self._runs(slices, publication.days))
        return Rendered(tuple(piece for run in runs for piece in run), self._packer.pack(runs))

    def _runs(self, slices: Iterable[PublishedSlice], days: Mapping[int, float]) -> Iterator[Sequence[bytes]]:
        """Everything in its order, in runs of pieces that are worth being compressed by themselves."""
        together = list(_together(self._chunks.values()))
        for position, play in enumerate(catalog.PLAY):
            yield from _with_header(play.metric, [[chunk.pieces[position] for chunk in run] for run in together])
        for media, piece in zip((catalog.MEDIA_DURATION, catalog.MEDIA_INFO), self._media_pieces, strict=True):
            yield from _with_header(media.metric, [[piece]])
        labelled = [(labels.of_slice(published), published) for published in slices]
        for family in catalog.SLICE:
            yield from _with_header(family.metric, [[_samples(family, labelled)]])
        starts = [(labels.of_day(days_ago), start) for days_ago, start in sorted(days.items())]
        yield from _with_header(catalog.PLAY_DATE.metric, [[_samples(catalog.PLAY_DATE, starts)]])

    def _chunk(self, published: PublishedSlice) -> _Chunk:
        known = self._chunks.get(published.slice)
        return known if known is not None and known.shows(published) else _render(published)


def _render(published: PublishedSlice) -> _Chunk:
    # The label text of a row is made once, for all families.
    halves = labels.slice_halves(published)
    labelled = [
        (labels.of_row(halves, media_id), published.rows[media_id] or NO_PLAYS) for media_id in sorted(published.rows)
    ]
    return _Chunk(published.days_ago, published.rows, tuple(_samples(family, labelled) for family in catalog.PLAY))


def _media_pieces(all_media: Iterable[PublishedMedia]) -> tuple[bytes, bytes]:
    ordered = sorted(all_media, key=lambda media: (media.account, media.media_id))
    return (
        _samples(catalog.MEDIA_DURATION, [(labels.of_media(media), media) for media in ordered]),
        _samples(catalog.MEDIA_INFO, [(labels.of_title(media), media) for media in ordered]),
    )


def _samples(family: catalog.Family[Source], labelled: Iterable[tuple[str, Source]]) -> bytes:
    name, read = family.metric.name, family.value
    lines = [f"{name}{text} {number(value)}\n" for text, source in labelled if (value := read(source)) is not None]
    return utf8("".join(lines))


def _together(chunks: Iterable[_Chunk]) -> Iterator[Sequence[_Chunk]]:
    """Chunks in runs; by their rows, not their bytes, so that new numbers do not move the bounds of other runs."""
    run: list[_Chunk] = []
    rows = 0
    for chunk in chunks:
        run.append(chunk)
        rows += len(chunk.rows)
        if rows >= _RUN_ROWS:
            yield run
            run, rows = [], 0
    if run:
        yield run


def _with_header(metric: catalog.Metric, runs: Sequence[Sequence[bytes]]) -> Iterator[Sequence[bytes]]:
    if any(any(run) for run in runs):
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
