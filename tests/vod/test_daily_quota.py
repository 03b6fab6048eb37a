from __future__ import annotations

import pytest

from exporter.errors import QuotaExceeded
from exporter.vod.daily_quota import DailyQuota
from tests.vod.fakes import Clock, FakeQuotaStore


def test_a_quota_smaller_than_what_is_spent_leaves_nothing() -> None:
    clock = Clock()
    quota = DailyQuota("main", 2, now=clock.now, quota_store=FakeQuotaStore(main=9))
    assert quota.remaining == 0
    with pytest.raises(QuotaExceeded, match="polling continues at 2023-11-16 00:00 UTC"):
        quota.spend()
