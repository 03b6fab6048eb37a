"""Read times from response headers: how long to wait, and the offset of the local clock."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_WAIT: Final = 300.0
"""Seconds; longer requested waits are shortened to this."""

_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,15}")


def requested_wait(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that the service requests to wait, at most LONGEST_WAIT; None if it requests none.

    In order: `x-acs-retry-after` in milliseconds; `x-ratelimit-user-api` and `x-ratelimit-user`, whose TimeLeft is in
    milliseconds (official SDK); `Retry-After` in seconds or as a date. `headers` are looked up in lower case; `now` is
    seconds since 1970.
    """
    wait = (
        _milliseconds(headers.get("x-acs-retry-after", ""))
        or max(_time_left(headers.get(name, "")) for name in ("x-ratelimit-user-api", "x-ratelimit-user"))
        or _retry_after(headers, now)
    )
    return min(wait, LONGEST_WAIT) if wait > 0 else None


def clock_offset(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds the local clock is ahead of the Date header; None if there is no valid one."""
    theirs = _http_date(headers.get("date", ""))
    return None if theirs is None else now - theirs


def _milliseconds(text: str) -> float:
    return int(text) / 1000 if _WHOLE_NUMBER.fullmatch(text.strip()) else 0.0


def _time_left(limit: str) -> float:
    """TimeLeft of `Limit:1,Remain:0,TimeLeft:2000,Reset:1234` in seconds; 0.0 while requests remain."""
    pairs = {name.strip(): value.strip() for name, _, value in (pair.partition(":") for pair in limit.split(","))}
    return _milliseconds(pairs.get("TimeLeft", "")) if pairs.get("Remain", "0") == "0" else 0.0


def _retry_after(headers: Mapping[str, str], now: float) -> float:
    text = headers.get("retry-after", "").strip()
    if _WHOLE_NUMBER.fullmatch(text):
        return float(text)
    until = _http_date(text)
    if until is None:
        return 0.0
    # Compare with the service's own clock if possible: the local one may be wrong.
    return until - (_http_date(headers.get("date", "")) or now)


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
