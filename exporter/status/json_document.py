"""Encode the status as the JSON of `/api/v1/status`; docs/status.md describes its fields."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from exporter.safe_text import replace_surrogates
from exporter.status.formatting import finite

if TYPE_CHECKING:
    from exporter.status.views import StatusView


# JSON readers lose digits of larger integers, and Python refuses to format integers of thousands of digits.
_LARGEST: Final = 2**53


def document(view: StatusView) -> bytes:
    """Encode a view as UTF-8 JSON, with dates as `2026-11-22` and only finite numbers."""
    fields = asdict(view)
    if not fields["player"]:  # not configured
        del fields["player"]
    return json.dumps(_plain(fields), ensure_ascii=False, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case tuple():
            return [_plain(each) for each in value]
        case str():
            return replace_surrogates(value)
        case int() | float() if isinstance(value, float) or abs(value) > _LARGEST:
            return finite(value)
        case date():
            return value.isoformat()
        case _:
            return value
