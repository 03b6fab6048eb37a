"""The last settled day of each account and filters, its plays against those expected, or the days it waits for."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from exporter.core import play_dates
from exporter.core.expectation import has_dropped, lost_plays
from exporter.core.model import ByIds, Everything, Slice, Top
from exporter.core.plan import has_expected_plays
from exporter.core.settled_days import days_needed, is_settled, wants_by_filters
from exporter.status.expected_views import ExpectationView, Expected, LossView, MissingDay
from exporter.status.model import State
from exporter.status.slices import specificity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from exporter.core.model import Dimensions, Media, Query, SliceData
    from exporter.core.publication import SettledDay
    from exporter.status.model import StatusInput

    Combination = tuple[str, Dimensions]
    from collections.abc import Iterable


# Yesterday, or until that is settled the day before: every query with expected plays polls what these two need.
_CANDIDATES: Final = (1, 2)


class Expectations:
    """Which day is compared with expected plays, and which days are missing where none is."""

    def __init__(self, observed: StatusInput) -> None:
        self._observed = observed
        self._today = play_dates.today(observed.publication.valid_from)
        self._days = {(day.slice.account, day.slice.dimensions): day for day in observed.publication.settled_days}
        self._wants = wants_by_filters(observed.queries)
        self._missing: dict[Combination, tuple[MissingDay, ...]] = {}

    def settled_day(self, account: str, dimensions: Dimensions) -> SettledDay | None:
        """Return the last settled day of an account and filters, or None while plays cannot be expected."""
        return self._days.get((account, dimensions))

    def missing(self, account: str, dimensions: Dimensions) -> tuple[MissingDay, ...]:
        """Return the days that must settle before yesterday or the day before is the last settled day.

        Of the two, the one that can be earlier; empty if either already is, or if no plays are expected here.
        """
        key = account, dimensions
        if key not in self._missing:
            day = self._days.get(key)
            up_to_date = day is not None and (self._today - day.slice.play_date).days in _CANDIDATES
            self._missing[key] = () if up_to_date or key not in self._wants else self._nearest(key)
        return self._missing[key]

    def of_query(self, query: Query) -> tuple[ExpectationView, ...]:
        """Return the last settled days of a query, with the number of its filter combinations, the newest first."""
        found: Counter[tuple[date | None, tuple[MissingDay, ...]]] = Counter()
        for dimensions in query.dimensions if has_expected_plays(query) else ():
            day = self.settled_day(query.account, dimensions)
            found[day.slice.play_date if day else None, self.missing(query.account, dimensions)] += 1
        views = (ExpectationView(play_date, count, missing) for (play_date, missing), count in found.items())
        return tuple(sorted(views, key=lambda view: view.play_date.toordinal() if view.play_date else 0, reverse=True))

    def _nearest(self, key: Combination) -> tuple[MissingDay, ...]:
        def wait(missing: tuple[MissingDay, ...]) -> tuple[float, int]:
            return max((day.final_from or 0 for day in missing), default=0), len(missing)

        return min((tuple(self._missing_days(key, ago)) for ago in _CANDIDATES), key=wait)

    def _missing_days(self, key: Combination, ago: int) -> Iterator[MissingDay]:
        known, wants = self._observed.snapshot.slices, self._wants[key]
        for each in days_needed(ago):
            play_date = self._today - timedelta(days=each)
            data = known.get(Slice(*key, play_date))
            before = known.get(Slice(*key, play_date - timedelta(days=1)))
            if data is None or not is_settled(data, before, wants):
                final_from = play_dates.start(play_date) + self._observed.settings.settle_after
                future = final_from if final_from > self._observed.now else None
                yield MissingDay(play_date, _state(data, wants), future)


def _state(data: SliceData | None, wants: tuple[Media, ...]) -> State:
    """Return why a slice is not settled for the wanted media."""
    if data is not None and not data.ready:
        return State.NOT_READY
    return State.UNSETTLED if data is not None and all(_is_answered(data, want) for want in wants) else State.UNANSWERED


def _is_answered(data: SliceData, want: Media) -> bool:
    match want:
        case ByIds(ids):
            return not ids or any(data.record(media_id) is not None for media_id in ids)
        case Top():
            return data.ranking(want) is not None
        case Everything():
            return data.listed is not None


def account_losses(observed: StatusInput, expectations: Expectations) -> tuple[LossView, ...]:
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
        *dimensions.labels,
        play_date=day.slice.play_date if day else None,
        media=len(rows),
        plays=plays if rows else None,
        expected=expected if rows else None,
        lost=lost_plays(plays, expected) if rows else None,
        dropped=sum(has_dropped(row.plays, row.expected) for row in rows),
        missing=expectations.missing(account, dimensions),
    )
