"""The numbers: for any media, play date and filters what the service would say now; seeded, pure, repeatable.

How a day comes about. The plays of a media on a day are a line of T plays. The line is cut into segments (terminal
type and OS) and each segment into regions, so plays add up over every dimension. Play duration is a rising function of
the place on that line, so it adds up too. Viewers are a concave function of the plays in question, so they are never
fewer than the largest part has and never more than all parts together.

A day is provisional until 09:00 UTC+8 of the next one: its numbers appear half an hour into it, grow through it to
96 %, from midnight on to 100 %, and never change again. They move in steps of five minutes.
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
    COLLAPSED_TO,
    made_up,
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
# What later parts of the line watch less than earlier ones: players in a browser are closed sooner than apps.
_IMPATIENCE: Final = 0.2
_GOLDEN: Final = 0.6180339887498949
_KEPT_ROWS: Final = 500_000

_MASK: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Order:
    """What a result set is ordered by; ties keep the order of the catalogue."""

    by: Measure
    descending: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """What one media counted in one slice: plays and viewers, never 0, and the time played in seconds."""

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
        """All of it as the service says it: per-viewer values rounded to two digits."""
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
    """How much of a play date's final numbers the service knows at `now` (seconds since 1970), from 0.0 to 1.0."""
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
    """Every media of the account that `seed` stands for and what was played when.

    `collapse_on`: from this play date on the media `collapsing` loses nearly all Native plays (a broken app release):
    its plays fall to about a tenth, those on the Web stay; `recover` gives them back. None: never. `kept_rows`: how
    many rows of result sets are kept for the next page; the latest result set always is.
    """

    def __init__(
        self, seed: int = 0, media: int = 120, collapse_on: date | None = None, *, kept_rows: int = _KEPT_ROWS
    ) -> None:
        self._media = {one.media_id: one for one in made_up(seed, media)}
        self._collapse_on = collapse_on
        self._recover_on: date | None = None
        self._results: OrderedDict[tuple[object, ...], Sequence[Counts]] = OrderedDict()
        self._kept = 0
        self._kept_rows = kept_rows
        self.media_ids = tuple(self._media)
        # The second media; an account of fewer has none.
        self.collapsing = self.media_ids[1] if media > 1 else None

    def recover(self, on: date | None) -> None:
        """From that play date on, the media that collapsed has its plays back; None: never."""
        if on != self._recover_on:
            self._recover_on = on
            self._results.clear()
            self._kept = 0

    def row(self, media_id: str, play_date: date, dimensions: Dimensions = NO_FILTER, *, now: float) -> PlayRow | None:
        """What the service says at `now` of one media in one slice; None where it has no row."""
        counts = self.counts(media_id, play_date, dimensions, now=now)
        return counts.row() if counts else None

    def counts(
        self, media_id: str, play_date: date, dimensions: Dimensions = NO_FILTER, *, now: float
    ) -> Counts | None:
        """What one media counted in one slice as known at `now`; None when nobody played it."""
        media = self._media.get(media_id)
        if media is None:
            return None
        return _Selection(play_date, dimensions, progress(play_date, now)).counts(*self._state(media, play_date))

    def result_set(
        self, play_date: date, dimensions: Dimensions = NO_FILTER, order: Order | None = None, *, now: float
    ) -> Sequence[Counts]:
        """Every media with plays in one slice as known at `now`, in that order or the catalogue's.

        The latest result sets are kept: a page of one costs nothing once its first page was asked for.
        """
        known = progress(play_date, now)
        key = (play_date, dimensions, order, known)
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key]
        question = _Selection(play_date, dimensions, known)
        every = (question.counts(*self._state(media, play_date)) for media in self._media.values())
        result = [counts for counts in every if counts]
        if order:
            by = order.by
            result.sort(key=lambda counts: counts.by(by), reverse=order.descending)
        self._results[key] = result
        self._kept += len(result)
        while self._kept > self._kept_rows and len(self._results) > 1:
            self._kept -= len(self._results.popitem(last=False)[1])
        return result

    def _state(self, media: Media, play_date: date) -> tuple[Media, Audience, float]:
        """A media on a date: who watches it and how much of its popularity it has."""
        if media.media_id == self.collapsing and self._collapsed(play_date):
            return media, COLLAPSED_AUDIENCE, COLLAPSED_TO
        return media, media.audience, 1.0

    def _collapsed(self, play_date: date) -> bool:
        began = self._collapse_on is not None and play_date >= self._collapse_on
        return began and (self._recover_on is None or play_date < self._recover_on)


class _Selection:
    """One slice at one moment, prepared to be asked of many media."""

    def __init__(self, play_date: date, dimensions: Dimensions, known: float) -> None:
        self._ordinal = play_date.toordinal()
        self._weekday = _WEEK[play_date.weekday()]
        self._known = known
        self._everything = dimensions == NO_FILTER
        self._segments = segments_of(dimensions.terminal_type, dimensions.os)
        # A day that is final needs no cut by region unless one is asked for.
        self._regions = None if known == 1 and dimensions.region is None else regions_of(dimensions.region)

    def counts(self, media: Media, audience: Audience, scale: float) -> Counts | None:
        """What that media counted, watched by that audience and `scale` times as popular as usual."""
        if not self._known:
            return None
        chance = _mix(media.key ^ self._ordinal * 0x9E3779B97F4A7C15 & _MASK)
        total = self._total(media, chance, scale)
        if not total:
            return None
        seconds = total * media.duration * media.watched
        plays = play_duration = 0
        for start_, end, phase in self._parts(audience, total, chance):
            part = end - start_
            seen = part if self._known == 1 else int(part * self._known + phase)
            played = int(seconds * _share_of_time(end / total)) - int(seconds * _share_of_time(start_ / total))
            plays += seen
            play_duration += played * seen // part
        return Counts(media, plays, math.ceil(plays**media.loyalty), play_duration) if plays else None

    def _total(self, media: Media, chance: int, scale: float) -> int:
        """All plays of the day once it is final."""
        if chance >> 16 & 0xFF < media.quiet:
            return 0
        noise = 0.94 + 0.12 * (chance & 0xFFFF) / 65536
        expected = media.popularity * scale * self._weekday * noise * self._life(media)
        return int(expected + (chance >> 24 & 0xFFFF) / 65536)

    def _life(self, media: Media) -> float:
        """Released with a splash, fading, gone, and after some weeks released again."""
        if not media.cycle:
            return 1.0
        age = (self._ordinal + media.offset) % media.cycle
        return 4 * math.exp(-age / 10) + 0.05 if age < 0.6 * media.cycle else 0.0

    def _parts(self, audience: Audience, total: int, chance: int) -> Iterator[tuple[int, int, float]]:
        """The parts of the line that were asked for and are not empty: start, end, and the part's own rounding."""
        if self._everything and self._regions is None:
            yield 0, total, 0.0
            return
        cut, recut = (chance >> 40 & 0xFFF) / 4096, (chance >> 52) / 4096
        for segment in self._segments:
            first = int(total * audience.segments[segment] + cut)
            length = int(total * audience.segments[segment + 1] + cut) - first
            if not length:
                continue
            if self._regions is None:
                yield first, first + length, 0.0
                continue
            for region in self._regions:
                start_ = first + int(length * audience.regions[region] + recut)
                end = first + int(length * audience.regions[region + 1] + recut)
                if end > start_:
                    yield start_, end, (recut + _GOLDEN * (7 * segment + region)) % 1


def _share_of_time(place: float) -> float:
    """Which share of the time played lies before that place (0 to 1) of the line; rising."""
    return place * (1 + _IMPATIENCE * (1 - place))


def _mix(number: int) -> int:
    """64 bits that look random and depend on every bit of `number` (the finisher of splitmix64)."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31
