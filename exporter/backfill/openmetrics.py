"""Views of the past become OpenMetrics with timestamps, a piece at a time, as promtool makes blocks of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from exporter.exposition import catalog, labels
from exporter.exposition.catalog import ZERO_ROW
from exporter.exposition.text_format import escaped, number, replace_surrogates, utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.backfill.replay import HistoricalView
    from exporter.core.model import PlayRow
    from exporter.core.publication import PublishedMedia, PublishedSlice
    from exporter.exposition.catalog import Family, Metric

Source = TypeVar("Source")

# One series: its label text, and its value at which instants, rising.
_Series = tuple[str, "list[tuple[range, float]]"]
# One slice as it was in each of the views that show it.
_Timeline = list[tuple[range, "PublishedSlice"]]


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """Some of the exposition, and how many samples are in it."""

    text: bytes
    samples: int


def samples(views: Iterable[HistoricalView]) -> int:
    """How many samples the exposition of these views has."""
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
    """About how many bytes the exposition of these views has: as if every sample took what one of plays takes."""
    first = next(exposition(views, extra))
    return len(first.text) * samples(views) // max(first.samples, 1)


def exposition(views: Sequence[HistoricalView], extra: Mapping[str, str]) -> Iterator[OutputChunk]:
    """OpenMetrics 1.0 of these views (oldest first), every series with the `extra` labels.

    Families are contiguous and so are series, each in the order of time: promtool refuses what goes back. A piece is
    a series on one day, at most; the whole is never in memory.
    """
    more = "".join(f'{name}="{escaped(value)}",' for name, value in extra.items())
    timelines = _timelines(views)
    for play in catalog.PLAY:
        yield from _family(play.metric, _plays(play, timelines), more)
    for media, spell in ((catalog.MEDIA_DURATION, labels.media_labels), (catalog.MEDIA_INFO, labels.title_labels)):
        told: Iterable[tuple[range, str, PublishedMedia]] = (
            (view.instants, spell(each), each) for view in views for each in view.publication.media
        )
        yield from _family(media.metric, _sorted(media, told), more)
    for family in catalog.SLICE:
        yield from _family(family.metric, _slices(family, timelines), more)
    starts = (
        (view.instants, labels.day_labels(ago), start) for view in views for ago, start in view.publication.days.items()
    )
    yield from _family(catalog.PLAY_DATE.metric, _sorted(catalog.PLAY_DATE, starts), more)
    yield OutputChunk(b"# EOF\n", 0)


def _timelines(views: Iterable[HistoricalView]) -> list[_Timeline]:
    """The slices by their labels, in order; the date of one moves on with the view."""
    found: defaultdict[tuple[str, str, str, str, int], _Timeline] = defaultdict(list)
    for view in views:
        for published in view.publication.slices:
            found[labels.slice_order(published)].append((view.instants, published))
    return [found[order] for order in sorted(found)]


def _plays(family: Family[PlayRow], timelines: Iterable[_Timeline]) -> Iterator[_Series]:
    for timeline in timelines:
        around = labels.row_label_affixes(timeline[0][1])
        for media_id in sorted({media_id for _, published in timeline for media_id in published.rows}):
            rows = (
                (instants, published.rows[media_id] or ZERO_ROW)
                for instants, published in timeline
                if media_id in published.rows
            )
            yield labels.row_labels(around, media_id), _values(family, rows)


def _slices(family: Family[PublishedSlice], timelines: Iterable[_Timeline]) -> Iterator[_Series]:
    for timeline in timelines:
        yield labels.slice_labels(timeline[0][1]), _values(family, timeline)


def _sorted(family: Family[Source], told: Iterable[tuple[range, str, Source]]) -> Iterator[_Series]:
    by_labels: defaultdict[str, list[tuple[range, Source]]] = defaultdict(list)
    for instants, text, source in told:
        # Titles that differ in nothing UTF-8 can carry are one series.
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
