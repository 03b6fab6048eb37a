"""Estimates what a query costs: slices, calls of its first poll and of a steady day, and series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Final

from exporter.core.fields import MEDIA_NUMBERS, PLAY_NUMBERS
from exporter.core.media_details import MEDIA_PER_CALL
from exporter.core.media_search import PAGE_SIZE as HITS_PER_PAGE
from exporter.core.model import ByIds, Dimensions, Everything, Top
from exporter.core.pages_or_ids import FEW_MEDIA, MANY_MEDIA
from exporter.core.plan import has_expected_plays, pages_of, unpublished_days

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.media_details import CategoryTree, MetadataRules, Search
    from exporter.core.model import Media, Query
    from exporter.core.play_dates import Settlement

_DAY: Final = 86_400.0
# A query polled less than daily sees a play date at any time of day: the average over this many times is taken.
_PHASES: Final = 24
_SERIES_PER_ROW: Final = len(PLAY_NUMBERS)
_SETTLED_SERIES_PER_ROW: Final = 2  # plays, and expected plays
_SERIES_PER_MEDIA: Final = 1 + len(MEDIA_NUMBERS)  # the title, and the numbers of a video


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number from `low` to `high`; `high` is None while the number of media with plays is unknown."""

    low: int
    high: int | None

    def __add__(self, other: Estimate) -> Estimate:
        """The sum of both."""
        return Estimate(
            self.low + other.low, None if self.high is None or other.high is None else self.high + other.high
        )

    def __str__(self) -> str:
        """`12`, `1 to 12` or `at least 12`."""
        if self.high is None:
            return f"at least {self.low}"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


NOTHING: Final = Estimate(0, 0)
_UNKNOWN: Final = Estimate(1, None), Estimate(0, None)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one query costs by itself; slices shared with other queries cost less."""

    slices: int
    first_poll: Estimate
    steady_day: Estimate
    series: Estimate


def cost(query: Query, settlement: Settlement, totals: Mapping[Dimensions, int] | None = None) -> Cost:
    """The cost of a query, assuming that numbers stop changing as soon as the day can be final.

    `totals`: how many media have plays on a day, by filters, as far as known.
    """
    polls = _polls_of_a_date(query, settlement)
    polled_days = len(query.days_ago) + len(unpublished_days(query))
    first = steady = NOTHING
    series = _times(media_of(query, totals), _SERIES_PER_MEDIA)
    for calls, media in _slices_of_a_day(query, totals):
        first += _times(calls, polled_days)
        steady += _times(calls, polls)
        series += _times(media, len(query.days_ago) * _SERIES_PER_ROW)
        series += _times(_of_settled_day(query, media), _SETTLED_SERIES_PER_ROW)
    return Cost(len(query.dimensions) * polled_days, first, steady, series)


def media_of(query: Query, totals: Mapping[Dimensions, int] | None = None) -> Estimate:
    """How many media a query publishes on all days together; those listed, or found by an ended search, are known.

    At most, each slice has other media than the others.
    """
    if isinstance(query.media, Everything) and Dimensions() in query.dimensions:
        # No slice with filters has media that the one without filters lacks.
        query = replace(query, dimensions=(Dimensions(),))
    per_slice = [media for _, media in _slices_of_a_day(query, totals)]
    if isinstance(query.media, ByIds):
        return per_slice[0]
    published = NOTHING
    for media in per_slice:
        published += _times(media, len(query.days_ago)) + _of_settled_day(query, media)
    return Estimate(max(media.low for media in per_slice), published.high)


def _slices_of_a_day(query: Query, totals: Mapping[Dimensions, int] | None) -> list[tuple[Estimate, Estimate]]:
    """Calls for each slice of one day, and its media that get series."""
    if query.finds_nothing:
        return [_UNKNOWN] * len(query.dimensions)
    return [_per_slice(query.media, (totals or {}).get(dimensions)) for dimensions in query.dimensions]


def _of_settled_day(query: Query, media: Estimate) -> Estimate:
    """The media of the last settled day: for a query without a list also those that are gone since the day before."""
    if not has_expected_plays(query):
        return NOTHING
    return media if isinstance(query.media, ByIds) or media.high is None else Estimate(media.low, 2 * media.high)


def search_cost(search: Search, found: Estimate, tree: CategoryTree | None = None) -> Cost:
    """The cost of a search that finds `found` media, if the service counts no others; it has no series."""
    walks = _walk_calls(found)
    if search.needs_categories:
        walks += _tree_calls(tree)
    return Cost(0, walks, _times(walks, _DAY / search.every), NOTHING)


def metadata_cost(rules: MetadataRules, published: Estimate, found: Estimate, tree: CategoryTree | None = None) -> Cost:
    """The cost of metadata of `published` media, and of `found` ones from searches, which need no calls.

    A search refreshes their metadata more often than it becomes outdated.
    """
    calls = _times(published, 1 / MEDIA_PER_CALL)
    if "category" in rules.labels:
        calls += _tree_calls(tree)
    media = published + found
    most = None if media.high is None else media.high * (2 + len(rules.tags))
    return Cost(0, calls, _times(calls, _DAY / rules.every), Estimate(media.low, most))


def _walk_calls(found: Estimate) -> Estimate:
    """Each page but the first repeats the last hit of the one before."""

    def pages(media: int) -> int:
        return 1 + ceil(max(0, media - HITS_PER_PAGE) / (HITS_PER_PAGE - 1))

    return Estimate(pages(found.low), None if found.high is None else pages(found.high))


def _tree_calls(tree: CategoryTree | None) -> Estimate:
    """One call for the root and one for each category with others below it."""
    if tree is None:
        return Estimate(1, None)
    calls = 1 + len({each.parent_id for each in tree if each.parent_id is not None})
    return Estimate(calls, calls)


def _times(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(ceil(estimate.low * factor), None if estimate.high is None else ceil(estimate.high * factor))


def _per_slice(media: Media, total: int | None) -> tuple[Estimate, Estimate]:
    """Calls for one slice with `total` media with plays (None: unknown), and the media that get series."""
    pages = None if total is None else max(1, pages_of(total))
    match media:
        case ByIds(ids):
            return _calls_by_ids(len(ids), pages), Estimate(len(ids), len(ids))
        case Top(n):
            if total is None:
                return Estimate(1, pages_of(n)), Estimate(0, n)
            shown = min(n, total)
            calls = max(1, pages_of(shown))
            return Estimate(calls, calls), Estimate(shown, shown)
        case Everything():
            return Estimate(pages or 1, pages), Estimate(total or 0, total)


def _calls_by_ids(wanted: int, pages: int | None) -> Estimate:
    """Calls for media requested by ID, by page or both; see `CallPlanner`."""
    if wanted <= (FEW_MEDIA if pages is None else min(MANY_MEDIA, pages)):
        return Estimate(wanted, wanted)
    return Estimate(1, wanted + 1 if pages is None else min(wanted + 1, pages))


def _polls_of_a_date(query: Query, settlement: Settlement) -> float:
    """How often one play date is polled, with one set of filters, until it settles or is too old.

    On a steady day there is one play date of every age, so this is also the number of polls a day.
    """
    phases = 1 if query.every < _DAY else _PHASES
    return sum(_polls(query, settlement, query.every * phase / phases) for phase in range(phases)) / phases


def _polls(query: Query, settlement: Settlement, first: float) -> int:
    """Simulate the polls of a date, from `first` seconds after its start at every interval, until it settles."""
    polled_ages = frozenset((*query.days_ago, *unpublished_days(query)))
    polls = confirmations = 0
    at = first
    while at < (max(polled_ages) + 1) * _DAY:
        if at // _DAY in polled_ages:
            confirmations = confirmations + 1 if polls and at >= settlement.after else 0
            polls += 1
            if at >= settlement.after and (confirmations >= settlement.unchanged or at >= settlement.after + _DAY):
                break
        at += query.every
    return polls
