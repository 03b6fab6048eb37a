"""What is known of media whatever the day → segments: titles and lengths, metadata; and categories."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from exporter.exposition import catalog
from exporter.exposition.gzip_segments import compress_segment
from exporter.exposition.text_format import (
    escaped,
    lines,
    media_label_middles,
    media_label_prefix,
    samples,
    sorted_pieces,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.core.publication import PublishedCategory, PublishedMedia, PublishedMetadata
    from exporter.exposition.catalog import Metric
    from exporter.exposition.gzip_segments import DeflateSegment

    # Labels after the media ID, and the value, of each series of a video.
    Series = Callable[[PublishedMetadata], Sequence[tuple[str, float]]]

About = TypeVar("About", bound="PublishedMedia | PublishedMetadata")

# Formatting this many media holds the GIL for a millisecond, with metadata for some.
_MAX_SEGMENT_MEDIA: Final = 4_096
_MAX_SEGMENT_METADATA: Final = 2_048


def _info(media: PublishedMetadata) -> list[tuple[str, float]]:
    return [("".join(f'",{name}="{escaped(value)}' for name, value in media.labels), 1)] if media.labels else []


def _created(media: PublishedMetadata) -> list[tuple[str, float]]:
    return [] if media.created_at is None else [("", int(media.created_at))]


def _tags(media: PublishedMetadata) -> list[tuple[str, float]]:
    return [(f'",tag="{escaped(tag)}', 1) for tag in media.tags]


def _deleted(media: PublishedMetadata) -> list[tuple[str, float]]:
    return [("", 1)] if media.deleted else []


_FAMILIES: Final[tuple[tuple[Metric, Series], ...]] = (
    (catalog.METADATA_INFO, _info),
    (catalog.MEDIA_CREATED, _created),
    (catalog.MEDIA_TAG_INFO, _tags),
    (catalog.MEDIA_DELETED, _deleted),
)


class MediaSegments:
    """The families that belong to no day; nothing is rendered again while it is the same."""

    def __init__(self) -> None:
        self._titles: _ByMedia[PublishedMedia] = _ByMedia(_titles, _MAX_SEGMENT_MEDIA)
        self._metadata: _ByMedia[PublishedMetadata] = _ByMedia(_metadata, _MAX_SEGMENT_METADATA)
        self._categories: tuple[PublishedCategory, ...] = ()
        self._about_categories: list[DeflateSegment] = []

    def update(
        self,
        titles: tuple[PublishedMedia, ...],
        metadata: tuple[PublishedMetadata, ...],
        categories: tuple[PublishedCategory, ...],
    ) -> None:
        """Replace what is rendered."""
        self._titles.update(titles)
        self._metadata.update(metadata)
        if categories is not self._categories:
            self._categories = categories
            text = b"".join(map(_category, categories))
            self._about_categories = [compress_segment(text)] if text else []

    def families(self) -> Iterator[tuple[Metric, list[DeflateSegment]]]:
        """Each family with its segments."""
        for position, family in enumerate(catalog.MEDIA):
            yield family.metric, self._titles.of_family(position)
        for position, (metric, _) in enumerate(_FAMILIES):
            yield metric, self._metadata.of_family(position)
        yield catalog.CATEGORY_INFO, self._about_categories


class _ByMedia(Generic[About]):
    """Families about media in segments of `size` media of an account; one is made again when its media have changed.

    `render` returns a segment for each family.
    """

    def __init__(self, render: Callable[[Sequence[About]], tuple[DeflateSegment, ...]], size: int) -> None:
        self._render = render
        self._size = size
        self._media: tuple[About, ...] = ()
        self._pieces: dict[About, tuple[Sequence[About], tuple[DeflateSegment, ...]]] = {}

    def update(self, media: tuple[About, ...]) -> None:
        """Replace the media by these."""
        if media is self._media or media == self._media:
            return
        known, self._pieces = self._pieces, {}
        by_account: defaultdict[str, dict[str, About]] = defaultdict(dict)
        for each in media:
            by_account[each.account][each.media_id] = each
        for _, by_id in sorted(by_account.items()):
            for media_ids in sorted_pieces(by_id, self._size):
                some = [by_id[media_id] for media_id in media_ids]
                before = known.get(some[0])
                is_same = before is not None and before[0] == some
                self._pieces[some[0]] = before if before is not None and is_same else (some, self._render(some))
        self._media = media

    def of_family(self, position: int) -> list[DeflateSegment]:
        """The segments of a family."""
        return [segments[position] for _, segments in self._pieces.values() if segments[position].length]


def _titles(media: Sequence[PublishedMedia]) -> tuple[DeflateSegment, ...]:
    around = media_label_prefix(media[0].account), '"}'
    texts = (samples(family, around, media_label_middles(family.metric, media), media) for family in catalog.MEDIA)
    return tuple(map(compress_segment, texts))


def _metadata(media: Sequence[PublishedMetadata]) -> tuple[DeflateSegment, ...]:
    before = media_label_prefix(media[0].account)
    texts = []
    for metric, series in _FAMILIES:
        pairs = [(f"{escaped(each.media_id)}{after}", value) for each in media for after, value in series(each)]
        middles, values = [middle for middle, _ in pairs], [value for _, value in pairs]
        texts.append(lines(f"{metric.name}{before}", middles, '"}', values))
    return tuple(map(compress_segment, texts))


def _category(published: PublishedCategory) -> bytes:
    category = published.category
    values = (
        published.account,
        str(category.category_id),
        published.path,
        "" if category.parent_id is None else str(category.parent_id),
        str(category.level),
    )
    labels = ",".join(
        f'{name}="{escaped(value)}"' for name, value in zip(catalog.CATEGORY_INFO.labels, values, strict=True)
    )
    return lines(f"{catalog.CATEGORY_INFO.name}{{", [labels], "}", [1])
