"""The plays that a video has on a date, without incidents, by age, weekday, holiday, spike and noise; and by the hour.

Ages are as those of real videos: the median new video has 44 % of the plays of its first full day on day 7, 28 % on
day 14 and 20 % on day 28; a quarter keeps three quarters for a week, another quarter less than a fifth, some grow.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date

    from exporter.simulator.generated_media import Media

_MASK: Final = (1 << 64) - 1
_WEEK: Final = (0.94, 0.92, 0.93, 0.96, 1.05, 1.30, 1.26)
_SATURDAY: Final = 5
# Holidays on a fixed date, as first and last (month, day), and how much more is played.
_HOLIDAYS: Final = (((1, 1), (1, 1)), ((5, 1), (5, 5)), ((10, 1), (10, 7)))
_HOLIDAY: Final = 1.2
_DAY_NOISE: Final = 0.03

_RELEASE_PEAK: Final = 4.0
# 1 on the first full day, 0.44, 0.28 and 0.20 after 7, 14 and 28 days.
_FLOOR, _PACE, _STEEPNESS = 0.175, 26.84, 4.9
# The exponent of that curve by quantile of the media: ratios of days 7, 14 and 28 have the quantiles of real videos.
_EXPONENTS: Final = ((0.0, -0.5), (0.05, -0.25), (0.25, 0.5), (0.5, 1.0), (0.75, 1.85), (0.95, 3.3), (1.0, 4.5))
# From this part of its cycle on a video is no longer recommended, and loses half of its plays every other day.
_WITHDRAWN: Final = 0.6
_HALF_LIFE: Final = 2.0

_DRIFT: Final = 0.25
_SPIKE_DAYS: Final = 8
_WELL_KNOWN: Final = 3_000
_LARGEST_NOISE: Final = 0.28
# Days without any plays are those of media that have few.
_FEW: Final = 6

_PAIRS: Final = tuple(pairwise(_EXPONENTS))
DAY: Final = 86_400
BUCKET: Final = 300
BUCKETS: Final = DAY // BUCKET
# Plays at each full hour, from midnight on.
_BY_HOUR: Final = (34, 18, 9, 5, 4, 6, 14, 28, 40, 46, 50, 54, 62, 58, 52, 52, 56, 62, 74, 90, 108, 112, 92, 62)
_PER_HOUR: Final = BUCKETS // len(_BY_HOUR)


def mix(number: int) -> int:
    """64 pseudo-random bits that depend on every bit of `number` (the finalizer of splitmix64)."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _MASK
    return number ^ number >> 31


def bits_of(media: Media, ordinal: int) -> int:
    """The 64 random bits of a video on a day."""
    return mix(media.key ^ ordinal * 0x9E3779B97F4A7C15 & _MASK)


def account_factor(day: date) -> float:
    """What a day does to the plays of all media: weekday, holiday and noise."""
    holiday = any(first <= (day.month, day.day) <= last for first, last in _HOLIDAYS)
    unexplained = 1 + _DAY_NOISE * _deviation(mix(day.toordinal() * 0xD6E8FEB86659FD93 & _MASK))
    return _WEEK[day.weekday()] * (_HOLIDAY if holiday else 1.0) * unexplained


def is_weekend(day: date) -> bool:
    """Whether a day is a Saturday or Sunday."""
    return day.weekday() >= _SATURDAY


def plays(media: Media, ordinal: int, account: float, bits: int) -> float:
    """The plays of the final day, not rounded; `account` and `bits` are those of the day."""
    life = _age_factor(media, ordinal) if media.cycle else _drift(media, ordinal)
    expected = media.popularity * account * life * _spike(media, ordinal)
    if expected < _FEW and bits & 0xFF < media.quiet:
        return 0.0
    # A video has a noise of its own, and few plays are noisier than many.
    noise = min(math.hypot(_volatility(media), 1 / math.sqrt(expected)), _LARGEST_NOISE)
    return expected * (1 + noise * _deviation(bits >> 8))


def first_day_share(media: Media) -> float:
    """The part of its first day in which a release can be played: it is released at some hour of that day."""
    return 0.1 + 0.9 * (media.key >> 16 & 0xFFFF) / 65536


def _age_factor(media: Media, ordinal: int) -> float:
    """The factor of the age of a video that is released, ages, is withdrawn, has no plays, and is released again."""
    age = (ordinal + media.offset) % media.cycle
    if not age:
        return _RELEASE_PEAK * first_day_share(media)
    curve = _FLOOR + (1 - _FLOOR) * (1 + (age - 1) / _PACE) ** -_STEEPNESS
    withdrawn = max(0.0, age - _WITHDRAWN * media.cycle)
    exponent = _exponent((media.key & 0xFFFF) / 65536)
    return _RELEASE_PEAK * math.exp(exponent * math.log(curve) - math.log(2) * withdrawn / _HALF_LIFE)


def _exponent(quantile: float) -> float:
    at = bisect_right(_EXPONENTS, (quantile, math.inf)) - 1
    (lower, start), (upper, end) = _PAIRS[at]
    return start + (end - start) * (quantile - lower) / (upper - lower)


def _drift(media: Media, ordinal: int) -> float:
    """The factor of a slow change, for media that do not age."""
    period = 45 + (media.key & 0xFF) * 0.3
    return 1 + _DRIFT * math.sin(2 * math.pi * (ordinal / period + (media.key >> 8 & 0xFF) / 256))


def _spike(media: Media, ordinal: int) -> float:
    """The factor of a spike: about once in 250 days a video has a multiple of its plays, and the excess halves daily.

    New media, and those that are well known already, have none.
    """
    if media.cycle or media.popularity > _WELL_KNOWN:
        return 1.0
    bits = mix(media.key ^ (ordinal >> 5) * 0xA0761D6478BD642F & _MASK)
    since = (ordinal & 31) - (bits >> 8) % (32 - _SPIKE_DAYS)
    if bits & 7 or not 0 <= since < _SPIKE_DAYS:
        return 1.0
    return 1 + (1 + 3 * (bits >> 40) / (1 << 24)) * 0.5**since


def _volatility(media: Media) -> float:
    share = (media.key >> 32 & 0xFFFF) / 65536
    return 0.03 + (0.05 if media.popularity > _WELL_KNOWN else 0.19) * share * share


def _deviation(bits: int) -> float:
    """About normally distributed, of mean 0 and variance 1, within 3.5: the sum of four numbers of ten bits."""
    total = (bits & 0x3FF) + (bits >> 10 & 0x3FF) + (bits >> 20 & 0x3FF) + (bits >> 30 & 0x3FF)
    return (total - 2046) / 591.2


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
