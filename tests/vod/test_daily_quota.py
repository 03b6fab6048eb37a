from __future__ import annotations

import pytest

from exporter.errors import QuotaExceeded
from exporter.vod.daily_quota import DailyQuota
from tests.vod.fakes import Clock, FakeQuotaStore


def test_a_quota_smaller_than_what_is_spent_leaves_nothing() -> None:
    clock = Clock()
    quota = DailyQuota("main", 2, now=clock.now, quota_store=FakeQuotaStore(main=9))
    assert quota.remaining == 0
    with pytest.raises(QuotaExceeded, match=r"calls_per_day \(2\) is used up; .* at 2023-11-16 00:00 UTC"):
        quota.spend()


def test_of_the_other_days_the_last_eight_are_kept() -> None:
    clock = Clock()
    quota = DailyQuota("main", 2, now=clock.now)

    def left_on(day: int) -> int | None:
        clock.elapsed = day * 86_400
        return quota.remaining

    for day in range(10):
        assert left_on(day) == 2
        quota.spend()
    assert [left_on(day) for day in (1, 0)] == [1, 2]


def test_a_clock_that_is_wrong_at_the_start_does_not_renew_the_calls_of_today() -> None:
    clock = Clock()
    quota_store = FakeQuotaStore(main=9)
    clock.elapsed = -1_000 * 86_400.0
    quota = DailyQuota("main", 10, now=clock.now, quota_store=quota_store)
    assert quota.remaining == 10
    quota.spend()

    clock.elapsed = 0.0
    assert quota.remaining == 1
