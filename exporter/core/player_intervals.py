"""The lengths of the buckets of player metrics, and how buckets of each length are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIRMING_READS: Final = 2
"""How many polls have to read a bucket unchanged before its values are used."""
_HOUR: Final = 3_600
_DAY: Final = 86_400
# 00:00 in UTC and in UTC+8; which of them begins a bucket of a day is not documented.
_DAY_STARTS: Final = frozenset({0, 16 * _HOUR})


@dataclass(frozen=True, slots=True)
class Interval:
    """The length of buckets, in seconds, and how they are read.

    * `window`: each poll reads the buckets of the last `window` seconds again.
    * `chunk`: earlier buckets, for comparison, are read in ranges of this many seconds.
    * `margin`: earlier buckets are read this many seconds before they are needed, and kept equally long after.
    """

    seconds: int
    window: int
    chunk: int
    margin: int

    @property
    def grid(self) -> int:
        """Requested ranges end at a multiple of this."""
        return min(self.seconds, _HOUR)

    def is_start(self, at: int) -> bool:
        """Whether a bucket can begin at this time."""
        return at % _DAY in _DAY_STARTS if self.seconds == _DAY else at % self.seconds == 0


# The service returns buckets of 5 minutes for at most 3 days, of an hour for at most 7, of a day for at most 31.
INTERVALS: Final[Mapping[str, Interval]] = {
    "5m": Interval(300, window=_DAY, chunk=_DAY // 2, margin=_HOUR),
    "1h": Interval(_HOUR, window=3 * _DAY, chunk=_DAY, margin=6 * _HOUR),
    "1d": Interval(_DAY, window=14 * _DAY, chunk=7 * _DAY, margin=_DAY),
}
