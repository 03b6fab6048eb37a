"""The plays of each account on its last settled day, against those expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.core.losses import has_dropped, lost_plays
from exporter.core.plan import has_expected_plays
from exporter.status.expected_views import Expected, LossView
from exporter.status.slices import labels, specificity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.model import Query
    from exporter.status.expectations import Expectations
    from exporter.status.model import StatusInput


def losses(observed: StatusInput, expectations: Expectations) -> tuple[LossView, ...]:
    """Return each account, in the combination with the fewest filters of those that have a settled day."""
    accounts = dict.fromkeys(query.account for query in observed.queries)
    return tuple(
        _of_account(account, [query for query in observed.queries if query.account == account], expectations)
        for account in accounts
    )


def expected_setting(queries: Iterable[Query]) -> Expected:
    """Return whether any of these queries has expected plays, and if not, why."""
    queries = list(queries)
    if any(map(has_expected_plays, queries)):
        return Expected.ON
    return Expected.OFF if any(1 in query.days_ago for query in queries) else Expected.NO_YESTERDAY


def _of_account(account: str, queries: list[Query], expectations: Expectations) -> LossView:
    combinations = {each for query in queries if has_expected_plays(query) for each in query.dimensions}
    if not combinations:
        return LossView(account, setting=expected_setting(queries))
    known = {each for each in combinations if expectations.settled_day(account, each) is not None}
    dimensions = min(known or combinations, key=specificity)
    day = expectations.settled_day(account, dimensions)
    rows = [row for row in day.rows.values() if row.expected is not None] if day else []
    plays, expected = sum(row.plays for row in rows), sum(row.expected or 0 for row in rows)
    return LossView(
        account,
        *labels(dimensions),
        play_date=day.slice.play_date if day else None,
        media=len(rows),
        plays=plays if rows else None,
        expected=expected if rows else None,
        lost=lost_plays(plays, expected) if rows else None,
        dropped=sum(has_dropped(row.plays, row.expected) for row in rows),
        missing=expectations.missing(account, dimensions),
    )
