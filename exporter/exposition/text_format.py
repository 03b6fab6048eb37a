"""Labels, numbers and sample lines in the exposition formats, and the order of series.

The output is valid in text 0.0.4, text 1.0.0 and OpenMetrics 1.0: all three escape the same three characters in a label
value and accept any other one unescaped, control characters included.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from exporter.core.publication import PublishedSlice
from exporter.exposition.catalog import MEDIA_LABELS
from exporter.safe_text import replace_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.core.publication import PublishedMedia, SettledDay
    from exporter.exposition.catalog import Family, Metric

Source = TypeVar("Source")

_LARGEST: Final = sys.float_info.max
# In JSON by msgspec: an exponent, or zeros where Python writes one.
_EXPONENTS: Final = (b"e", b"0.0000")


def utf8(text: str) -> bytes:
    """Encode text as UTF-8, each lone surrogate as U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return replace_surrogates(text).encode()


def escaped(value: str) -> str:
    r"""Escape a label value for use between quotes: `\\`, `\"` and `\n`, nothing else."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def escaped_each(values: Sequence[str]) -> Sequence[str]:
    """Escape many label values as `escaped` does; where none needs it, the same sequence is returned."""
    together = "".join(values)
    return [escaped(value) for value in values] if any(mark in together for mark in '\\"\n') else values


def number(value: float) -> str:
    """Format a sample value: an integer with all digits, a float with the fewest digits that round-trip.

    What exceeds a 64-bit float is `+Inf` or `-Inf`: otherwise Prometheus would reject the whole scrape.
    """
    if -_LARGEST <= value <= _LARGEST:
        return f"{value}"
    if value > 0:
        return "+Inf"
    return "-Inf" if value < 0 else "NaN"


def lines(before: str, middles: Sequence[str], after: str, values: Sequence[float]) -> bytes:
    """Format samples that differ in the middle of their labels, one line each, as UTF-8."""
    # One join, without a string for each line.
    parts = [before, "", f"{after} ", "", "\n"] * len(values)
    parts[1::5] = middles
    parts[3::5] = _numbers(values)
    return utf8("".join(parts))


def samples(
    family: Family[Source], around: tuple[str, str], middles: Sequence[str], sources: Sequence[Source]
) -> bytes:
    """Format the samples of a family: a line for each source that has a value."""
    before, after = around
    values = list(map(family.value, sources))
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        middles = [middle for middle, value in zip(middles, values, strict=True) if value is not None]
    return lines(f"{family.metric.name}{before}", middles, after, present)


def _numbers(values: Sequence[float]) -> Sequence[str]:
    """Format many sample values as `number` does."""
    if values and _are_finite(values):
        # msgspec takes a fifth of the time of Python; only numbers that need an exponent differ, in its spelling.
        together = msgspec.json.encode(values)
        if not any(mark in together for mark in _EXPONENTS):
            return together[1:-1].decode().split(",")
    return list(map(number, values))


def _are_finite(values: Sequence[float]) -> bool:
    """Whether no value exceeds a 64-bit float; also False where only their sum does."""
    try:
        return sum(map(abs, values)) <= _LARGEST
    except OverflowError:
        return False


def sorted_pieces(texts: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    """Sort texts, in lists of `size`; `sorted` would hold the GIL for 20 ms for 50,000 texts."""
    by_prefix: defaultdict[str, list[str]] = defaultdict(list)
    for text in texts:
        by_prefix[text[:2]].append(text)
    ordered = [text for first in sorted(by_prefix) for text in sorted(by_prefix[first])]
    return (ordered[begin : begin + size] for begin in range(0, len(ordered), size))


def slice_order(source: PublishedSlice | SettledDay) -> tuple[str, str, str, str, int]:
    """The sort key of a slice or settled day: its labels, so that expositions compress well and are easy to compare."""
    days_ago = source.days_ago if isinstance(source, PublishedSlice) else 0
    return (source.slice.account, *source.slice.dimensions.labels, days_ago)


def slice_labels(source: PublishedSlice | SettledDay) -> str:
    """The label text of a slice or settled day."""
    return f'{{account="{escaped(source.slice.account)}",{_last_labels(source)}'


def row_label_affixes(source: PublishedSlice | SettledDay) -> tuple[str, str]:
    """The label text of a row of a slice or settled day, before and after its media ID."""
    return media_label_prefix(source.slice.account), f'",{_last_labels(source)}'


def media_label_prefix(account: str) -> str:
    """The label text of a video, before its media ID."""
    return f'{{account="{escaped(account)}",media_id="'


def row_labels(around: tuple[str, str], media_id: str) -> str:
    """The label text of a video in a slice, from the slice's `row_label_affixes`."""
    before, after = around
    return f"{before}{escaped(media_id)}{after}"


def media_labels(metric: Metric, media: PublishedMedia) -> str:
    """The label text of a video in a metric of `catalog.MEDIA`."""
    (middle,) = media_label_middles(metric, [media])
    return f'{media_label_prefix(media.account)}{middle}"}}'


def media_label_middles(metric: Metric, media: Sequence[PublishedMedia]) -> Sequence[str]:
    """The label text of each video between `media_label_prefix` and the last quote: its ID, then its own labels."""
    middles = escaped_each([each.media_id for each in media])
    for name in metric.labels[len(MEDIA_LABELS) :]:
        values = escaped_each([getattr(each, name) or "" for each in media])
        middles = [f'{middle}",{name}="{value}' for middle, value in zip(middles, values, strict=True)]
    return middles


def day_labels(days_ago: int) -> str:
    """The label text of a day."""
    return f'{{days_ago="{days_ago}"}}'


def _last_labels(source: PublishedSlice | SettledDay) -> str:
    terminal_type, os, region = map(escaped, source.slice.dimensions.labels)
    days_ago = f',days_ago="{source.days_ago}"' if isinstance(source, PublishedSlice) else ""
    return f'terminal_type="{terminal_type}",os="{os}",region="{region}"{days_ago}}}'
