"""The counts of a video in one slice at one instant: seeded, pure, repeatable.

The plays of a video on a day are a line of T plays. The line is divided into segments (terminal type and OS) and each
segment into regions, so plays add up over every dimension. Play duration is an increasing function of the position on
that line, so it adds up too. Viewers are a concave function of the number of plays, so they are never fewer than in the
largest part and never more than in all parts together.

popularity.py has the number of plays; incidents shorten segments or regions of the line and leave the others alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

from exporter.core.model import Dimensions, Measure, PlayRow
from exporter.simulator import popularity
from exporter.simulator.generated_media import regions_of, segments_of
from exporter.simulator.incidents import effect_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from exporter.simulator.generated_media import Media
    from exporter.simulator.incidents import Incident

NO_FILTER: Final = Dimensions()

# How much less later parts of the line watch than earlier ones: browsers are closed sooner than apps.
_IMPATIENCE: Final = 0.2
_GOLDEN: Final = 0.6180339887498949
# How much the shares of segments and regions vary from day to day, and how much less the Web is used at weekends.
_SHARE_NOISE: Final = 0.12
_WEEKEND: Final = 0.95


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one video in one slice: plays and viewers, never 0, and play duration in seconds."""

    media: Media
    plays: int
    viewers: int
    play_duration: int

    def by(self, measure: Measure) -> float:
        """The number that `measure` names."""
        match measure:
            case Measure.PLAYS:
                return self.plays
            case Measure.PLAY_DURATION:
                return self.play_duration
            case Measure.PLAYS_PER_VIEWER:
                return round(self.plays / self.viewers, 2)
            case Measure.PLAY_DURATION_PER_VIEWER:
                return round(self.play_duration / self.viewers, 2)

    def row(self) -> PlayRow:
        """The row that the service returns; values per viewer are rounded to two digits."""
        return PlayRow(
            media_id=self.media.media_id,
            title=self.media.title,
            media_duration=self.media.duration,
            viewers=self.viewers,
            plays=self.plays,
            plays_per_viewer=self.by(Measure.PLAYS_PER_VIEWER),
            play_duration=self.play_duration,
            play_duration_per_viewer=self.by(Measure.PLAY_DURATION_PER_VIEWER),
        )


class Selection:
    """One slice when `share` (0 to 1) of its final numbers is computed, prepared once for all media."""

    def __init__(self, play_date: date, dimensions: Dimensions, share: float, incidents: Sequence[Incident]) -> None:
        self._play_date = play_date
        self._ordinal = play_date.toordinal()
        self._account_factor = popularity.account_factor(play_date)
        self._web = _WEEKEND if popularity.is_weekend(play_date) else 1.0
        self._share = share
        self._incidents = incidents
        self._segments = segments_of(dimensions.terminal_type, dimensions.os)
        # A final day is divided into regions only where the filter needs it.
        self._regions = None if share == 1 and dimensions.region is None else regions_of(dimensions.region)
        self._whole = dimensions == NO_FILTER and self._regions is None

    def counts(self, media: Media) -> Counts | None:
        """The counts of a video; None without plays."""
        if not self._share:
            return None
        bits = popularity.bits_of(media, self._ordinal)
        final = popularity.plays(media, self._ordinal, self._account_factor, bits)
        bits = popularity.mix(bits)
        effect = effect_of(self._incidents, media.media_id, self._play_date) if self._incidents else None
        segments: Sequence[float] = ()
        regions: Sequence[float] = ()
        # The segments of the Web follow those of the app on the line, so the power moves the bound between them.
        if effect or not self._whole:
            bounds, power = media.audience.segments, self._web * _power(bits >> 16)
            segments, remaining = _line(bounds, power, effect.segments if effect else None)
            final *= remaining
        if effect or self._regions is not None:
            regions, remaining = _line(media.audience.regions, _power(bits >> 24), effect.regions if effect else None)
            final *= remaining
        total = int(final + (bits & 0xFFFF) / 65536) if final else 0
        if not total:
            return None
        seconds = total * media.duration * media.watched
        plays = play_duration = 0
        for start_, end, phase in self._parts(segments, regions, total, bits):
            part = end - start_
            visible = part if self._share == 1 else int(part * self._share + phase)
            played = int(seconds * _share_of_time(end / total)) - int(seconds * _share_of_time(start_ / total))
            plays += visible
            play_duration += played * visible // part
        return Counts(media, plays, math.ceil(plays**media.loyalty), play_duration) if plays else None

    def _parts(
        self, segments: Sequence[float], regions: Sequence[float], total: int, bits: int
    ) -> Iterator[tuple[int, int, float]]:
        """The selected parts of the line that are not empty: start, end, and the rounding offset of the part."""
        if self._whole:
            yield 0, total, 0.0
            return
        segment_rounding, region_rounding = (bits >> 40 & 0xFFF) / 4096, (bits >> 52) / 4096
        for segment in self._segments:
            first = int(total * segments[segment] + segment_rounding)
            length = int(total * segments[segment + 1] + segment_rounding) - first
            if not length:
                continue
            if self._regions is None:
                yield first, first + length, 0.0
                continue
            for region in self._regions:
                start_ = first + int(length * regions[region] + region_rounding)
                end = first + int(length * regions[region + 1] + region_rounding)
                if end > start_:
                    yield start_, end, (region_rounding + _GOLDEN * (7 * segment + region)) % 1


def _power(bits: int) -> float:
    """About 1, from eight bits: the exponent that moves the bounds within a line on one day."""
    return 1 + _SHARE_NOISE * ((bits & 0xFF) / 255 - 0.5)


def _line(bounds: Sequence[float], power: float, factors: Sequence[float] | None) -> tuple[Sequence[float], float]:
    """Raise the bounds to a power and multiply the parts between them; returns bounds from 0 to 1 and the length."""
    moved = [bound**power for bound in bounds]
    if factors is None:
        return moved, 1.0
    parts = [(end - start_) * factor for (start_, end), factor in zip(pairwise(moved), factors, strict=True)]
    ends = list(accumulate(parts, initial=0.0))
    length = ends[-1]
    return ([end / length for end in ends], length) if length else (moved, 0.0)


def _share_of_time(position: float) -> float:
    """The share of the play duration before a position (0 to 1) of the line; increasing."""
    return position * (1 + _IMPATIENCE * (1 - position))
