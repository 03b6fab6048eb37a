"""How the plays of a day are spread over its hours: few at night, most in the evening of UTC+8."""

from __future__ import annotations

from itertools import accumulate
from typing import Final

DAY: Final = 86_400
BUCKET: Final = 300
BUCKETS: Final = DAY // BUCKET

# Plays at each full hour, from midnight on.
_BY_HOUR: Final = (34, 18, 9, 5, 4, 6, 14, 28, 40, 46, 50, 54, 62, 58, 52, 52, 56, 62, 74, 90, 108, 112, 92, 62)
_PER_HOUR: Final = BUCKETS // len(_BY_HOUR)


def _weight(bucket: int) -> float:
    hour, part = divmod(bucket + 0.5, _PER_HOUR)
    before, after = _BY_HOUR[int(hour)], _BY_HOUR[(int(hour) + 1) % len(_BY_HOUR)]
    return before + (after - before) * part / _PER_HOUR


_TOTAL: Final = sum(map(_weight, range(BUCKETS)))
WEIGHTS: Final = tuple(_weight(bucket) / _TOTAL for bucket in range(BUCKETS))
"""The share of the day's plays in each bucket of five minutes."""

_BEFORE: Final = tuple(accumulate(WEIGHTS, initial=0.0))


def played_before(seconds: int) -> float:
    """The share of a day's plays before that second of it."""
    if seconds >= DAY:
        return 1.0
    bucket, rest = divmod(seconds, BUCKET)
    return _BEFORE[bucket] + WEIGHTS[bucket] * rest / BUCKET
