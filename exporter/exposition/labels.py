"""The label text and the order of the series of slices and media; independent of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.exposition.catalog import MEDIA_LABELS
from exporter.exposition.text_format import escaped, escaped_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.core.model import Slice
    from exporter.core.publication import PublishedMedia, PublishedSlice, SettledDay
    from exporter.exposition.catalog import Metric


def slice_order(published: PublishedSlice) -> tuple[str, str, str, str, int]:
    """The sort key of a slice: its labels, so that expositions compress well and are easy to compare."""
    return (published.slice.account, *_filters(published.slice), published.days_ago)


def settled_day_order(day: SettledDay) -> tuple[str, str, str, str, int]:
    """The sort key of a settled day, its labels; as long as that of a slice."""
    return (day.slice.account, *_filters(day.slice), 0)


def slice_labels(published: PublishedSlice) -> str:
    """The label text of a slice."""
    return f'{{account="{escaped(published.slice.account)}",{_filter_labels(published.slice)},{_day_label(published)}'


def settled_day_labels(day: SettledDay) -> str:
    """The label text of a settled day."""
    return f'{{account="{escaped(day.slice.account)}",{_filter_labels(day.slice)}}}'


def row_label_affixes(published: PublishedSlice) -> tuple[str, str]:
    """The label text of a row of a slice, before and after its media ID."""
    return (
        media_label_affixes(published.slice.account),
        f'",{_filter_labels(published.slice)},{_day_label(published)}',
    )


def settled_row_label_affixes(day: SettledDay) -> tuple[str, str]:
    """The label text of a row of a settled day, before and after its media ID."""
    return media_label_affixes(day.slice.account), f'",{_filter_labels(day.slice)}}}'


def media_label_affixes(account: str) -> str:
    """The label text of a media, before its media ID."""
    return f'{{account="{escaped(account)}",media_id="'


def row_labels(around: tuple[str, str], media_id: str) -> str:
    """The label text of a media in a slice, from the slice's `row_label_affixes`."""
    before, after = around
    return f"{before}{escaped(media_id)}{after}"


def media_labels(metric: Metric, media: PublishedMedia) -> str:
    """The label text of a media in a metric of `catalog.MEDIA`."""
    (middle,) = media_label_middles(metric, [media])
    return f'{media_label_affixes(media.account)}{middle}"}}'


def media_label_middles(metric: Metric, media: Sequence[PublishedMedia]) -> Sequence[str]:
    """The label text of each media between `media_label_affixes` and the last quote: its ID, then its own labels."""
    middles = escaped_each([each.media_id for each in media])
    for name in metric.labels[len(MEDIA_LABELS) :]:
        values = escaped_each([getattr(each, name) or "" for each in media])
        middles = [f'{middle}",{name}="{value}' for middle, value in zip(middles, values, strict=True)]
    return middles


def day_labels(days_ago: int) -> str:
    """The label text of a day."""
    return f'{{days_ago="{days_ago}"}}'


def _filter_labels(slice_: Slice) -> str:
    terminal_type, os, region = map(escaped, _filters(slice_))
    return f'terminal_type="{terminal_type}",os="{os}",region="{region}"'


def _day_label(published: PublishedSlice) -> str:
    return f'days_ago="{published.days_ago}"}}'


def _filters(slice_: Slice) -> tuple[str, str, str]:
    dimensions = slice_.dimensions
    return (dimensions.terminal_type or "all", dimensions.os or "all", dimensions.region or "all")
