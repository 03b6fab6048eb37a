from __future__ import annotations

from exporter.web.access.middleware import TokenBucket
from tests.web.test_connection_tracker import Clock


def test_a_token_bucket_allows_a_burst_and_then_one_request_per_interval() -> None:
    clock = Clock()
    bucket = TokenBucket(2.0, 3, clock)

    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.at += 1.9
    assert not bucket.take()
    clock.at += 0.2
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.at += 1_000
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
