"""Parses parameters of all actions except play data: integers, page sizes and times, or InvalidParameter."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from exporter.simulator.error_responses import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_LARGEST_PAGE: Final = 100
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


def integer(name: str, parameters: Mapping[str, str], default: int, *, smallest: int | None = None) -> int:
    """An integer parameter; raises ApiError for anything else."""
    text = parameters.get(name) or str(default)
    value = int(text) if _INTEGER.fullmatch(text) else None
    if value is None or (smallest is not None and value < smallest):
        raise ApiError("InvalidParameter", f"{name} must be an integer{f' from {smallest}' if smallest else ''}.")
    return value


def page_size(parameters: Mapping[str, str]) -> int:
    """PageSize, 10 by default; raises ApiError if it is not from 1 to 100."""
    value = integer("PageSize", parameters, 10, smallest=1)
    if value > _LARGEST_PAGE:
        raise ApiError("InvalidParameter", f"PageSize must be from 1 to {_LARGEST_PAGE}.")
    return value


def parse_time(text: str) -> int | None:
    """A time such as 2026-03-18T04:00:00Z in seconds since 1970; None if it is not one."""
    try:
        return int(datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def format_time(seconds: float) -> str:
    """Seconds since 1970 as such a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)
