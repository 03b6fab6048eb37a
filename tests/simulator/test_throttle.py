from __future__ import annotations

import pytest

from exporter.simulator.throttle import Throttle


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 1), (1, 1), (3, 3), (50, 50)])
def test_a_burst_of_one_second_passes_and_then_the_rate_applies(rate: float, burst: int) -> None:
    throttle = Throttle(rate, 100.0)
    assert [throttle.admit(100.0) for _ in range(burst)] == [0.0] * burst
    wait = throttle.admit(100.0)
    assert wait == pytest.approx(1 / rate)
    assert throttle.admit(100.0 + wait / 2) == pytest.approx(wait / 2)
    assert throttle.admit(100.001 + wait) == 0.0


def test_over_time_only_the_rate_passes() -> None:
    throttle = Throttle(10, 0.0)
    passed = sum(throttle.admit(n / 100) == 0 for n in range(1000))
    assert passed == pytest.approx(10 + 100, abs=2)


def test_a_clock_set_back_adds_no_tokens() -> None:
    throttle = Throttle(1, 100.0)
    assert throttle.admit(100.0) == 0.0
    assert throttle.admit(50.0) > 0
    assert throttle.admit(50.5) > 0


def test_a_rate_of_zero_is_no_limit() -> None:
    throttle = Throttle(0, 0.0)
    assert not any(throttle.admit(0.0) for _ in range(1000))
