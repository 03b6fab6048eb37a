"""Throttling: a token bucket for the account, and the headers that name the wait."""

from __future__ import annotations

import math
from typing import Literal

WaitHeader = Literal["x-acs-retry-after", "x-ratelimit-user-api", "retry-after", "none"]
"""The header that names the wait after throttling (official SDK; `retry-after` is HTTP's own)."""


class Throttle:
    """A token bucket: `rate` requests per second, with a burst of one second; 0: no limit."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._burst = max(rate, 1.0)
        self._tokens = self._burst
        self._refilled_at = now

    def admit(self, now: float) -> float:
        """0.0 when a request is accepted at `now`; otherwise the seconds until one would be."""
        if not self._rate:
            return 0.0
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._refilled_at) * self._rate)
        self._refilled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


def wait_headers(kind: WaitHeader, wait: float, rate: float) -> dict[str, str]:
    """The header `kind` for a wait in seconds; `rate` is the limit that it states."""
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
