from __future__ import annotations

from itertools import pairwise

import pytest

from exporter.simulator.hours import BUCKET, BUCKETS, DAY, WEIGHTS, played_before


def test_the_buckets_are_the_whole_day() -> None:
    assert len(WEIGHTS) == BUCKETS == 288
    assert sum(WEIGHTS) == pytest.approx(1)
    assert (played_before(0), played_before(DAY)) == (0, 1)


def test_few_play_at_night_and_most_in_the_evening() -> None:
    busiest, quietest = (WEIGHTS.index(pick(WEIGHTS)) * BUCKET / 3600 for pick in (max, min))
    assert 20 <= busiest < 22
    assert 3 <= quietest < 6
    # Without steps that an alert could take for a drop.
    assert all(0.7 < after / before < 1.4 for before, after in pairwise(WEIGHTS))


def test_what_was_played_grows_within_a_bucket_too() -> None:
    shares = [played_before(second) for second in range(0, DAY + 1, 100)]
    assert shares == sorted(shares)
    assert played_before(150) == pytest.approx(WEIGHTS[0] / 2)
