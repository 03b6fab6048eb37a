"""The generated play data of an account: any media, play date and filters at any time.

A day is provisional until 09:00 UTC+8 of the next one: its rows appear half an hour after its start, grow to 96 % until
midnight and to 100 % after it, then never change again. They change in steps of five minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.simulator.calendar import start_of_day
from exporter.simulator.generated_media import generate_media, most_played
from exporter.simulator.selection import NO_FILTER, Selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from exporter.core.model import Dimensions, Measure, PlayRow
    from exporter.simulator.incidents import Incident
    from exporter.simulator.selection import Counts

_DAY: Final = 86_400.0
_FIRST_NUMBERS: Final = 1_800.0
_SETTLED: Final = 33 * 3_600.0
_STEP: Final = 300.0
_AT_MIDNIGHT: Final = 0.96

_CACHED_ROWS: Final = 500_000


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a result set; ties are in the order of the media."""

    by: Measure
    descending: bool


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

    `incidents`: what loses or gains plays, until `recover` ends all of them. `cached_rows`: how many rows of result
    sets are cached for the next page; the latest result set always is.
    """

    def __init__(
        self, seed: int = 0, media: int = 120, incidents: Iterable[Incident] = (), *, cached_rows: int = _CACHED_ROWS
    ) -> None:
        """Raises ValueError for an incident of a video that the account does not have."""
        self._media = {one.media_id: one for one in generate_media(seed, media)}
        self._recover_on: date | None = None
        self._results: OrderedDict[tuple[object, ...], Sequence[Counts]] = OrderedDict()
        self._cached = 0
        self._cached_rows = cached_rows
        self._most_played = most_played(seed)
        self.media_ids = tuple(self._media)
        self.media = tuple(self._media.values())
        self.incidents: tuple[Incident, ...] = ()
        self.set_incidents(incidents)

    def set_incidents(self, incidents: Iterable[Incident]) -> None:
        """Replace the incidents. Raises ValueError for one of a video that the account does not have."""
        wanted = tuple(incidents)
        for each in wanted:
            # An account without any video has nothing to lose.
            if each.media_id not in (None, self._most_played) and each.media_id not in self._media:
                raise ValueError(f"incident {each.kind!r}: the account has no video {each.media_id}")
        self.incidents = wanted
        self._clear_results()

    def recover(self, on: date | None) -> None:
        """From that play date all incidents are over; None: they go on."""
        if on != self._recover_on:
            self._recover_on = on
            self._clear_results()

    def _clear_results(self) -> None:
        self._results.clear()
        self._cached = 0

    def row(self, media_id: str, play_date: date, dimensions: Dimensions = NO_FILTER, *, now: float) -> PlayRow | None:
        """The row of one video in one slice at `now`; None without plays."""
        counts = self.counts(media_id, play_date, dimensions, now=now)
        return counts.row() if counts else None

    def counts(
        self, media_id: str, play_date: date, dimensions: Dimensions = NO_FILTER, *, now: float
    ) -> Counts | None:
        """The counts of one video in one slice at `now`; None without plays."""
        media = self._media.get(media_id)
        if media is None:
            return None
        return self._selection(play_date, dimensions, progress(play_date, now)).counts(media)

    def result_set(
        self, play_date: date, dimensions: Dimensions = NO_FILTER, order: Order | None = None, *, now: float
    ) -> Sequence[Counts]:
        """The counts of every video with plays in one slice at `now`, in `order` or the order of the media.

        The latest result sets are cached, so that only the first page of one is computed.
        """
        share = progress(play_date, now)
        key = (play_date, dimensions, order, share)
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key]
        selection = self._selection(play_date, dimensions, share)
        result = [counts for media in self._media.values() if (counts := selection.counts(media))]
        if order:
            by = order.by
            result.sort(key=lambda counts: counts.by(by), reverse=order.descending)
        self._results[key] = result
        self._cached += len(result)
        while self._cached > self._cached_rows and len(self._results) > 1:
            self._cached -= len(self._results.popitem(last=False)[1])
        return result

    def plays(self, play_date: date, dimensions: Dimensions, incidents: Sequence[Incident]) -> int:
        """The final plays of all media in one slice, with these incidents of that date."""
        selection = Selection(play_date, dimensions, 1.0, incidents)
        return sum(counts.plays for media in self.media if (counts := selection.counts(media)))

    def incidents_on(self, play_date: date) -> tuple[Incident, ...]:
        """The incidents that affect a date."""
        recovered = self._recover_on is not None and play_date >= self._recover_on
        return () if recovered else tuple(each for each in self.incidents if each.affects(play_date))

    def _selection(self, play_date: date, dimensions: Dimensions, share: float) -> Selection:
        return Selection(play_date, dimensions, share, self.incidents_on(play_date))
