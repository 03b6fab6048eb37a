"""Render historical views as OpenMetrics with timestamps, in chunks, for promtool."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from exporter.exposition import catalog
from exporter.exposition.catalog import ZERO_ROW
from exporter.exposition.text_format import (
    day_labels,
    escaped,
    media_labels,
    number,
    row_label_affixes,
    row_labels,
    slice_labels,
    slice_order,
    utf8,
)
from exporter.safe_text import replace_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.backfill.replay import HistoricalView
    from exporter.core.model import PlayRow
    from exporter.core.publication import PublishedMedia, PublishedSlice
    from exporter.exposition.catalog import Family, Metric

Source = TypeVar("Source")

# One series: its labels as text, and its values with the (ascending) instants at which it had each.
_Series = tuple[str, "list[tuple[range, float]]"]
# One slice in each of the views that show it, oldest first.
_Timeline = list[tuple[range, "PublishedSlice"]]


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """A part of the exposition, and the number of samples in it."""

    text: bytes
    samples: int


def samples(views: Iterable[HistoricalView]) -> int:
    """The number of samples in the exposition of these views."""
    return sum(
        len(view.instants)
        * (
            view.publication.series
            + len(view.publication.days)
            + sum(family.value(shown) is not None for family in catalog.SLICE for shown in view.publication.slices)
        )
        for view in views
    )


def size(views: Sequence[HistoricalView], extra: Mapping[str, str]) -> int:
    """The approximate size of the exposition in bytes, assuming that all samples are as long as the first ones."""
    first = next(exposition(views, extra))
    return len(first.text) * samples(views) // max(first.samples, 1)


def exposition(views: Sequence[HistoricalView], extra: Mapping[str, str]) -> Iterator[OutputChunk]:
    """OpenMetrics 1.0 of these views (oldest first), every series with the `extra` labels.

    Families and series are contiguous and samples ascend in time, as promtool requires. A chunk holds at most one
    series of one day, so memory use is bounded.
    """
    more = "".join(f'{name}="{escaped(value)}",' for name, value in extra.items())
    timelines = _timelines(views)
    for play in catalog.PLAY:
        yield from _family(play.metric, _plays(play, timelines), more)
    for about in catalog.MEDIA:
        labelled: Iterable[tuple[range, str, PublishedMedia]] = (
            (view.instants, media_labels(about.metric, each), each) for view in views for each in view.publication.media
        )
        yield from _family(about.metric, _sorted(about, labelled), more)
    for family in catalog.SLICE:
        yield from _family(family.metric, _slices(family, timelines), more)
    starts = ((view.instants, day_labels(ago), start) for view in views for ago, start in view.publication.days.items())
    yield from _family(catalog.PLAY_DATE.metric, _sorted(catalog.PLAY_DATE, starts), more)
    yield OutputChunk(b"# EOF\n", 0)


def _timelines(views: Iterable[HistoricalView]) -> list[_Timeline]:
    """The slices grouped and sorted by labels; with `days_ago` as label, each view has another play date."""
    found: defaultdict[tuple[str, str, str, str, int], _Timeline] = defaultdict(list)
    for view in views:
        for published in view.publication.slices:
            found[slice_order(published)].append((view.instants, published))
    return [found[order] for order in sorted(found)]


def _plays(family: Family[PlayRow], timelines: Iterable[_Timeline]) -> Iterator[_Series]:
    for timeline in timelines:
        around = row_label_affixes(timeline[0][1])
        for media_id in sorted({media_id for _, published in timeline for media_id in published.rows}):
            rows = (
                (instants, published.rows[media_id] or ZERO_ROW)
                for instants, published in timeline
                if media_id in published.rows
            )
            yield row_labels(around, media_id), _values(family, rows)


def _slices(family: Family[PublishedSlice], timelines: Iterable[_Timeline]) -> Iterator[_Series]:
    for timeline in timelines:
        yield slice_labels(timeline[0][1]), _values(family, timeline)


def _sorted(family: Family[Source], labelled: Iterable[tuple[range, str, Source]]) -> Iterator[_Series]:
    by_labels: defaultdict[str, list[tuple[range, Source]]] = defaultdict(list)
    for instants, text, source in labelled:
        # Titles that are equal after replacing surrogates are one series.
        by_labels[replace_surrogates(text)].append((instants, source))
    for text in sorted(by_labels):
        yield text, _values(family, by_labels[text])


def _values(family: Family[Source], sources: Iterable[tuple[range, Source]]) -> list[tuple[range, float]]:
    return [(instants, value) for instants, source in sources if (value := family.value(source)) is not None]


def _family(metric: Metric, all_series: Iterable[_Series], more: str) -> Iterator[OutputChunk]:
    header = f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n"
    for text, values in all_series:
        for instants, value in values:
            start = f"{metric.name}{{{more}{text[1:]} {number(value)} "
            lines = start + f"\n{start}".join(map(str, instants)) + "\n"
            yield OutputChunk(utf8(header + lines), len(instants))
            header = ""
