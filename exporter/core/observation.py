"""The responses for one slice → an observation: its rows and zeros, the tops, and whether anything is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.core.model import Top

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.listing import Listing
    from exporter.core.model import Measure, PlayRow
    from exporter.core.plan import FetchPlan


@dataclass(frozen=True, slots=True)
class SliceObservation:
    """What one poll observed of a slice at `at` (seconds since 1970).

    * `rows`: by media ID; None if the video was requested and has no row.
    * `listed`: the rows are all rows of the result set.
    * `tops`: the top media by a measure, best first.
    * `total`: how many media have plays; None if no listing was read.
    * `is_whole`: everything planned was returned.
    * `truncated`: a page failed or the service counted more rows than it listed, so tops may be shorter than requested.
    * `uncertain_rankings`: measures of tops from which a video that belongs there may be missing.
    * `unattributed_rows`: rows without a usable media ID.
    """

    at: float
    rows: Mapping[str, PlayRow | None] = field(default_factory=dict)
    listed: bool = False
    tops: tuple[tuple[Top, tuple[str, ...]], ...] = ()
    total: int | None = None
    is_whole: bool = True
    truncated: bool = False
    uncertain_rankings: frozenset[Measure] = frozenset()
    unattributed_rows: int = 0


def observe(
    plan: FetchPlan,
    listings: Mapping[Measure, Listing],
    rows_by_id: Mapping[str, PlayRow | None],
    at: float,
    *,
    aborted: bool,
) -> SliceObservation:
    """Everything returned until `at` (seconds since 1970); `is_whole` if that is all that was planned.

    * `listings`: the listings read, by their order.
    * `rows_by_id`: responses to calls by media ID; None for a video without plays.
    * `aborted`: a page that is needed failed.
    """
    complete = next((listing for listing in listings.values() if listing.complete and _keeps_all(plan, listing)), None)
    rows: dict[str, PlayRow | None] = {**_zeros(plan, listings), **rows_by_id}
    for listing in listings.values():
        rows |= listing.all_rows if listing is complete or plan.everything else _wanted(plan, listing)
    tops: dict[Top, tuple[dict[str, PlayRow], bool]] = {}
    if complete is None:
        for by, n in plan.tops.items():
            ranking = _top(n, by, listings.get(by), rows, aborted=aborted)
            if ranking is not None:
                tops[Top(n, by)] = ranking
    for ranked, _ in tops.values():
        rows |= ranked
    short_by = sum(listing.short_by for listing in listings.values())
    return SliceObservation(
        at,
        rows,
        listed=complete is not None,
        tops=tuple((top, tuple(ranked)) for top, (ranked, _) in tops.items()),
        total=next((listing.total for listing in listings.values() if listing.total is not None), None),
        is_whole=not aborted and not short_by and plan.ids <= rows.keys(),
        truncated=aborted or bool(short_by),
        uncertain_rankings=frozenset(top.by for top, (_, is_certain) in tops.items() if not is_certain),
        unattributed_rows=complete.skipped if complete else 0,
    )


def _top(
    n: int, by: Measure, listing: Listing | None, rows: Mapping[str, PlayRow | None], *, aborted: bool
) -> tuple[dict[str, PlayRow], bool] | None:
    """The top `n` rows by a measure, best first, and whether no row that belongs to it can be missing.

    In the service's order if it was requested in that order, otherwise sorted by the numbers of all rows. None if the
    first page of that order was not read.
    """
    if listing is not None:
        return listing.first(n) if listing.number or not aborted else None
    played = [row for row in rows.values() if row is not None]
    best = sorted(played, key=lambda row: -(getattr(row, by.value) or 0))[:n]
    return {row.media_id: row for row in best}, True


def _zeros(plan: FetchPlan, listings: Mapping[Measure, Listing]) -> dict[str, PlayRow | None]:
    """The planned media, as zeros, if a complete listing shows which of them have plays."""
    complete = any(listing.complete and not listing.skipped for listing in listings.values())
    return dict.fromkeys(plan.ids) if complete else {}


def _keeps_all(plan: FetchPlan, listing: Listing) -> bool:
    """Whether all rows of a listing are wanted; when it was read for some media, the other rows are not kept."""
    return plan.everything or bool(listing.n and len(listing.rows) <= listing.n)


def _wanted(plan: FetchPlan, listing: Listing) -> dict[str, PlayRow]:
    """The rows of a listing that belong to its top or are of planned media."""
    first = tuple(listing.rows)[: listing.n or 0]
    rows = listing.all_rows
    return {media_id: rows[media_id] for media_id in (*first, *(plan.ids & rows.keys()))}
