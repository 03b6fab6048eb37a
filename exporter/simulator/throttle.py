"""Too many requests: a token bucket over the account, and the headers that name a wait."""

from __future__ import annotations

import math
from typing import Literal

WaitHeader = Literal["x-acs-retry-after", "x-ratelimit-user-api", "retry-after", "none"]
"""Which header names the wait after throttling (official SDK; `retry-after` is HTTP's own)."""


class Throttle:
    """Lets `rate` requests a second pass, as many at once; 0 lets all pass."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._burst = max(rate, 1.0)
        self._tokens = self._burst
        self._at = now

    def admit(self, now: float) -> float:
        """0.0 for a request that may pass at `now`; else the seconds until one may."""
        if not self._rate:
            return 0.0
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


def wait_headers(kind: WaitHeader, wait: float, rate: float = 0.0) -> dict[str, str]:
    """The header of that kind for a wait in seconds; `rate` is the limit it mentions."""
    # Rounded first: 0.2 s computed from fractions must not become 201 ms.
    milliseconds = math.ceil(round(wait * 1000, 3))
    match kind:
        case "x-acs-retry-after":
            return {kind: str(milliseconds)}
        case "x-ratelimit-user-api":
            return {kind: f"Limit:{math.ceil(rate)},Remain:0,TimeLeft:{milliseconds},Reset:{milliseconds}"}
        case "retry-after":
            return {kind: str(math.ceil(milliseconds / 1000))}
        case "none":
            return {}
