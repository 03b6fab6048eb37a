"""Metadata of media and categories → segments; nothing is rendered again while it is the same object."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from exporter.exposition import catalog
from exporter.exposition.gzip_segments import compress_segment
from exporter.exposition.text_format import escaped, lines, media_label_affixes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.core.publication import PublishedCategory, PublishedMetadata
    from exporter.exposition.catalog import Metric
    from exporter.exposition.gzip_segments import DeflateSegment

    # Labels after the media ID, and the value, of each series of a video.
    Series = Callable[[PublishedMetadata], Sequence[tuple[str, float]]]

# Formatting this many media holds the GIL for some milliseconds.
_MAX_SEGMENT_MEDIA: Final = 2_048


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


class MetadataSegments:
    """The families about metadata, compressed; those of some media are compressed again only when one has changed."""

    def __init__(self) -> None:
        self._media: tuple[PublishedMetadata, ...] = ()
        self._categories: tuple[PublishedCategory, ...] = ()
        self._pieces: dict[PublishedMetadata, tuple[Sequence[PublishedMetadata], tuple[DeflateSegment, ...]]] = {}
        self._about_categories: list[DeflateSegment] = []

    def update(self, media: tuple[PublishedMetadata, ...], categories: tuple[PublishedCategory, ...]) -> None:
        """Replace what is rendered."""
        if media is not self._media:
            self._media = media
            by_account: defaultdict[str, list[PublishedMetadata]] = defaultdict(list)
            for each in media:
                by_account[each.account].append(each)
            known, self._pieces = self._pieces, {}
            for account in sorted(by_account):
                ordered = sorted(by_account[account], key=lambda each: each.media_id)
                for begin in range(0, len(ordered), _MAX_SEGMENT_MEDIA):
                    some = ordered[begin : begin + _MAX_SEGMENT_MEDIA]
                    before = known.get(some[0])
                    same = before is not None and before[0] == some
                    self._pieces[some[0]] = before if before is not None and same else (some, _rendered(some))
        if categories is not self._categories:
            self._categories = categories
            text = b"".join(map(_category, categories))
            self._about_categories = [compress_segment(text)] if text else []

    def families(self) -> Iterator[tuple[Metric, list[DeflateSegment]]]:
        """Each family with its segments."""
        for position, (metric, _) in enumerate(_FAMILIES):
            yield metric, [segments[position] for _, segments in self._pieces.values() if segments[position].length]
        yield catalog.CATEGORY_INFO, self._about_categories


def _rendered(media: Sequence[PublishedMetadata]) -> tuple[DeflateSegment, ...]:
    before = media_label_affixes(media[0].account)
    texts = []
    for metric, series in _FAMILIES:
        samples = [(f"{escaped(each.media_id)}{after}", value) for each in media for after, value in series(each)]
        middles, values = [middle for middle, _ in samples], [value for _, value in samples]
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
