"""Settings that are each valid but contradict each other; checks the raw input, so that all errors are reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from exporter.documents import durations
from exporter.documents.error_messages import FieldErrorDict, field_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DAY: Final = 86_400


def stale_between_polls(
    given: Mapping[str, Any], *, every: float, stale_after: float, settle_after: float, days_ago: Sequence[int]
) -> Iterator[FieldErrorDict]:
    """Errors for queries whose days become stale before the next poll, although these days cannot be final yet.

    The keyword arguments are the defaults of these settings, in seconds and days. Values that cannot be read are
    reported elsewhere.
    """
    limit = _seconds(given.get("stale_after"), stale_after)
    final_after = _seconds(setting_of(given.get("settle"), "after"), settle_after)
    queries = given.get("queries")
    if limit is None or final_after is None or not isinstance(queries, list | tuple):
        return
    for position, query in enumerate(queries):
        interval = _seconds(setting_of(query, "every"), every)
        youngest = min(_days(setting_of(query, "days_ago"), days_ago), default=None)
        if interval is None or youngest is None or interval < limit or youngest * _DAY >= final_after:
            continue
        polled, stale = durations.to_text(interval), durations.to_text(limit)
        then = f"a day that is not settled yet would disappear {stale} after each poll; poll more often, or raise"
        if setting_of(query, "every") is None:
            sentence = f"{stale} is not above every of queries[{position}] ({polled}): {then} it"
            yield ("stale_after",), field_error(sentence)
        else:
            sentence = f"{polled} is not below stale_after ({stale}): {then} stale_after"
            yield ("queries", position, "every"), field_error(sentence)


def setting_of(settings: object, name: str) -> Any:
    """A setting of a mapping or of a model; None if it is not there."""
    return settings.get(name) if isinstance(settings, Mapping) else getattr(settings, name, None)


def _seconds(value: object, default: float) -> float | None:
    """A duration in seconds; None if it cannot be read or is zero."""
    if value is None:
        return default
    if isinstance(value, int | float):
        return float(value)
    try:
        return durations.parse(str(value).strip()) or None
    except ValueError:
        return None


def _days(value: object, default: Sequence[int]) -> Sequence[int]:
    """The days of a query; empty if one cannot be read."""
    given = default if value is None else value if isinstance(value, list | tuple) else (value,)
    try:
        return [int(str(each)) for each in given]
    except ValueError:
        return []
