"""A token bucket, for the rate limit of requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TokenBucket:
    """Allows `burst` requests, and one more every `interval` seconds."""

    def __init__(self, interval: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._burst = burst
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._refilled_at = monotonic()

    def take(self) -> bool:
        """Take a token; return whether there was one."""
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) / self._interval)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
