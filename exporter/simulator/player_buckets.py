"""Plays of the whole account by five minutes and segment: those of a day add up to its play data.

Documented difference: a play is counted here when the player prepares it (attempted), there when it has started. So the
attempts are more than the plays of DescribeVodMediaPlayData, and the started ones are as many, once a day is final.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.core.model import Dimensions
from exporter.simulator.generated_media import SEGMENTS
from exporter.simulator.incidents import FIRST_FRAME, PLAYER
from exporter.simulator.popularity import BUCKETS, WEIGHTS, mix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from exporter.simulator.dataset import Dataset
    from exporter.simulator.incidents import Incident

_CACHED_DAYS: Final = 1_000
_NOISE: Final = 0.06
# Of the attempts of a player that works: failed, and left before the first frame.
_FAILED: Final = 0.01
_BOUNCED: Final = 0.015
_FIRST_FRAME_MS: Final = 420.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Attempted, started and failed plays, and the milliseconds to the first frame of all started ones together."""

    attempted: int = 0
    started: int = 0
    failed: int = 0
    first_frame_ms: float = 0.0

    def __add__(self, other: Bucket) -> Bucket:
        """Both together."""
        return Bucket(
            self.attempted + other.attempted,
            self.started + other.started,
            self.failed + other.failed,
            self.first_frame_ms + other.first_frame_ms,
        )

    def part(self, share: float) -> Bucket:
        """That share of it."""
        if share >= 1:
            return self
        started = int(self.started * share)
        attempted = max(int(self.attempted * share), started)
        failed = min(int(self.failed * share), attempted - started)
        return Bucket(attempted, started, failed, self.first_frame_ms * share)


class PlayerBuckets:
    """The final buckets of each day and segment."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._days: OrderedDict[tuple[object, ...], Sequence[Bucket]] = OrderedDict()

    def day(self, play_date: date, segment: int) -> Sequence[Bucket]:
        """The 288 buckets of a day of UTC+8; `segment` is an index into SEGMENTS."""
        incidents = self._dataset.incidents_on(play_date)
        key = (play_date, segment, incidents)
        if key in self._days:
            self._days.move_to_end(key)
            return self._days[key]
        found = self._days[key] = self._compute(play_date, segment, incidents)
        if len(self._days) > _CACHED_DAYS:
            self._days.popitem(last=False)
        return found

    def _compute(self, play_date: date, segment: int, incidents: Sequence[Incident]) -> Sequence[Bucket]:
        others = tuple(each for each in incidents if each.kind != PLAYER)
        started = self._spread(play_date, segment, incidents)
        healthy = started if len(others) == len(incidents) else self._spread(play_date, segment, others)
        slow = [each for each in incidents if each.kind == FIRST_FRAME and each.hits(segment)]
        buckets = []
        for index, (plays, usual) in enumerate(zip(started, healthy, strict=True)):
            bits = mix(play_date.toordinal() * 4_096 + index * 8 + segment)
            attempted = max(plays, round(usual / (1 - _FAILED - _BOUNCED)))
            bounced = min(int(attempted * _BOUNCED + (bits & 0xFF) / 256), attempted - plays)
            first_frame = _FIRST_FRAME_MS * (0.9 + 0.2 * (bits >> 8 & 0xFF) / 255)
            for each in slow:
                first_frame *= 1 + each.change * each.part_of_bucket(play_date, index)
            buckets.append(Bucket(attempted, plays, attempted - plays - bounced, first_frame * plays))
        return buckets

    def _spread(self, play_date: date, segment: int, incidents: Sequence[Incident]) -> Sequence[int]:
        """The plays of a day, spread over its buckets without a remainder."""
        terminal_type, os = SEGMENTS[segment]
        total = self._dataset.plays(play_date, Dimensions(terminal_type, os), incidents)
        # Incidents of one video or region have no time of day here, because their share of all plays is not known.
        timed = [
            each for each in incidents if each.kind != FIRST_FRAME and each.of_whole_account and each.hits(segment)
        ]
        weights = []
        for index, weight in enumerate(WEIGHTS):
            bits = mix(play_date.toordinal() * 4_096 + index * 8 + segment + 1_000_003)
            share = weight * (1 + _NOISE * ((bits & 0xFFFF) / 65_535 - 0.5))
            for each in timed:
                share *= 1 + each.change * each.part_of_bucket(play_date, index)
            weights.append(share)
        whole = sum(weights)
        if not whole:
            return [0] * BUCKETS
        plays, before, done = [], 0.0, 0
        for share in weights:
            before += share
            until = round(total * before / whole)
            plays.append(until - done)
            done = until
        return plays
