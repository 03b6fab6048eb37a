"""The generated play data of any media, play date and filters at any time: seeded, pure, repeatable.

The plays of a media on a day are a line of T plays. The line is divided into segments (terminal type and OS) and each
segment into regions, so plays add up over every dimension. Play duration is an increasing function of the position on
that line, so it adds up too. Viewers are a concave function of the number of plays, so they are never fewer than in the
largest part and never more than in all parts together.

A day is provisional until 09:00 UTC+8 of the next one: its rows appear half an hour after its start, grow to 96 % until
midnight and to 100 % after it, then never change again. They change in steps of five minutes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.core.model import Dimensions, Measure, PlayRow
from exporter.simulator.calendar import start_of_day
from exporter.simulator.generated_media import (
    COLLAPSED_AUDIENCE,
    COLLAPSED_POPULARITY,
    generate_media,
    regions_of,
    segments_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from exporter.simulator.generated_media import Audience, Media

NO_FILTER: Final = Dimensions()

_DAY: Final = 86_400.0
_FIRST_NUMBERS: Final = 1_800.0
_SETTLED: Final = 33 * 3_600.0
_STEP: Final = 300.0
_AT_MIDNIGHT: Final = 0.96

_WEEK: Final = (0.94, 0.92, 0.93, 0.96, 1.05, 1.30, 1.26)
# How much less later parts of the line watch than earlier ones: browsers are closed sooner than apps.
_IMPATIENCE: Final = 0.2
_GOLDEN: Final = 0.6180339887498949
_CACHED_ROWS: Final = 500_000

_MASK: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a result set; ties are in the order of the media."""

    by: Measure
    descending: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one media in one slice: plays and viewers, never 0, and play duration in seconds."""

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


def progress(play_date: date, now: float) -> float:
    """The share of a play date's final numbers that is computed at `now` (seconds since 1970), from 0.0 to 1.0."""
    elapsed = now - start_of_day(play_date)
    if elapsed >= _SETTLED:
        return 1.0
    elapsed = elapsed // _STEP * _STEP
    if elapsed < _FIRST_NUMBERS:
        return 0.0
    if elapsed < _DAY:
        return _AT_MIDNIGHT * elapsed / _DAY
    return _AT_MIDNIGHT + (1 - _AT_MIDNIGHT) * (elapsed - _DAY) / (_SETTLED - _DAY)


class Dataset:
    """The media of the account of `seed` and their play data.

    `collapse_on`: from this play date the media `collapsing` loses nearly all Native plays (a broken app release): its
    plays fall to about a tenth, those on the Web remain, until `recover` restores them. None: never. `cached_rows`: how
    many rows of result sets are cached for the next page; the latest result set always is.
    """

    def __init__(
        self, seed: int = 0, media: int = 120, collapse_on: date | None = None, *, cached_rows: int = _CACHED_ROWS
    ) -> None:
        self._media = {one.media_id: one for one in generate_media(seed, media)}
        self._collapse_on = collapse_on
        self._recover_on: date | None = None
        self._results: OrderedDict[tuple[object, ...], Sequence[Counts]] = OrderedDict()
        self._cached = 0
        self._cached_rows = cached_rows
        self.media_ids = tuple(self._media)
        # The second media; None in an account without one.
        self.collapsing = self.media_ids[1] if media > 1 else None

    def recover(self, on: date | None) -> None:
        """From that play date the collapsed media has its usual plays again; None: never."""
        if on != self._recover_on:
            self._recover_on = on
            self._results.clear()
            self._cached = 0

    def row(self, media_id: str, play_date: date, dimensions: Dimensions = NO_FILTER, *, now: float) -> PlayRow | None:
        """The row of one media in one slice at `now`; None without plays."""
        counts = self.counts(media_id, play_date, dimensions, now=now)
        return counts.row() if counts else None

    def counts(
        self, media_id: str, play_date: date, dimensions: Dimensions = NO_FILTER, *, now: float
    ) -> Counts | None:
        """The counts of one media in one slice at `now`; None without plays."""
        media = self._media.get(media_id)
        if media is None:
            return None
        return _Selection(play_date, dimensions, progress(play_date, now)).counts(*self._state(media, play_date))

    def result_set(
        self, play_date: date, dimensions: Dimensions = NO_FILTER, order: Order | None = None, *, now: float
    ) -> Sequence[Counts]:
        """The counts of every media with plays in one slice at `now`, in `order` or the order of the media.

        The latest result sets are cached, so that only the first page of one is computed.
        """
        share = progress(play_date, now)
        key = (play_date, dimensions, order, share)
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key]
        selection = _Selection(play_date, dimensions, share)
        every = (selection.counts(*self._state(media, play_date)) for media in self._media.values())
        result = [counts for counts in every if counts]
        if order:
            by = order.by
            result.sort(key=lambda counts: counts.by(by), reverse=order.descending)
        self._results[key] = result
        self._cached += len(result)
        while self._cached > self._cached_rows and len(self._results) > 1:
            self._cached -= len(self._results.popitem(last=False)[1])
        return result

    def _state(self, media: Media, play_date: date) -> tuple[Media, Audience, float]:
        """A media on a date: its audience and the factor of its popularity."""
        if media.media_id == self.collapsing and self._collapsed(play_date):
            return media, COLLAPSED_AUDIENCE, COLLAPSED_POPULARITY
        return media, media.audience, 1.0

    def _collapsed(self, play_date: date) -> bool:
        collapsed = self._collapse_on is not None and play_date >= self._collapse_on
        return collapsed and (self._recover_on is None or play_date < self._recover_on)


class _Selection:
    """One slice at one instant, prepared once for all media."""

    def __init__(self, play_date: date, dimensions: Dimensions, share: float) -> None:
        self._ordinal = play_date.toordinal()
        self._weekday = _WEEK[play_date.weekday()]
        self._share = share
        self._unfiltered = dimensions == NO_FILTER
        self._segments = segments_of(dimensions.terminal_type, dimensions.os)
        # A final day is divided into regions only where the filter needs it.
        self._regions = None if share == 1 and dimensions.region is None else regions_of(dimensions.region)

    def counts(self, media: Media, audience: Audience, scale: float) -> Counts | None:
        """The counts of a media with that audience and `scale` times its usual popularity."""
        if not self._share:
            return None
        bits = _mix(media.key ^ self._ordinal * 0x9E3779B97F4A7C15 & _MASK)
        total = self._total(media, bits, scale)
        if not total:
            return None
        seconds = total * media.duration * media.watched
        plays = play_duration = 0
        for start_, end, phase in self._parts(audience, total, bits):
            part = end - start_
            visible = part if self._share == 1 else int(part * self._share + phase)
            played = int(seconds * _share_of_time(end / total)) - int(seconds * _share_of_time(start_ / total))
            plays += visible
            play_duration += played * visible // part
        return Counts(media, plays, math.ceil(plays**media.loyalty), play_duration) if plays else None

    def _total(self, media: Media, bits: int, scale: float) -> int:
        """The plays of the final day."""
        if bits >> 16 & 0xFF < media.quiet:
            return 0
        noise = 0.94 + 0.12 * (bits & 0xFFFF) / 65536
        expected = media.popularity * scale * self._weekday * noise * self._life(media)
        return int(expected + (bits >> 24 & 0xFFFF) / 65536)

    def _life(self, media: Media) -> float:
        """The factor of popularity by age: high at the release, fading, 0, and after some weeks released again."""
        if not media.cycle:
            return 1.0
        age = (self._ordinal + media.offset) % media.cycle
        return 4 * math.exp(-age / 10) + 0.05 if age < 0.6 * media.cycle else 0.0

    def _parts(self, audience: Audience, total: int, bits: int) -> Iterator[tuple[int, int, float]]:
        """The selected parts of the line that are not empty: start, end, and the rounding offset of the part."""
        if self._unfiltered and self._regions is None:
            yield 0, total, 0.0
            return
        segment_rounding, region_rounding = (bits >> 40 & 0xFFF) / 4096, (bits >> 52) / 4096
        for segment in self._segments:
            first = int(total * audience.segments[segment] + segment_rounding)
            length = int(total * audience.segments[segment + 1] + segment_rounding) - first
            if not length:
                continue
            if self._regions is None:
                yield first, first + length, 0.0
                continue
            for region in self._regions:
                start_ = first + int(length * audience.regions[region] + region_rounding)
                end = first + int(length * audience.regions[region + 1] + region_rounding)
                if end > start_:
                    yield start_, end, (region_rounding + _GOLDEN * (7 * segment + region)) % 1


def _share_of_time(position: float) -> float:
    """The share of the play duration before a position (0 to 1) of the line; increasing."""
    return position * (1 + _IMPATIENCE * (1 - position))


def _mix(number: int) -> int:
    """64 pseudo-random bits that depend on every bit of `number` (the finalizer of splitmix64)."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31
