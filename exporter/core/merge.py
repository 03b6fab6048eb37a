"""The responses for one slice → an observation, merged into the known data: rows, zeros, rankings, what is settled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from exporter.core import play_dates
from exporter.core.fields import same_row
from exporter.core.model import Freshness, MediaRecord, Ranking, SliceData, Top

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.listing import Listing
    from exporter.core.model import Measure, PlayRow, Slice
    from exporter.core.plan import FetchPlan
    from exporter.core.play_dates import Settlement


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


def merge_observation(
    known: SliceData | None, slice_: Slice, observation: SliceObservation, settlement: Settlement
) -> SliceData:
    """The slice after a poll: a complete listing replaces all records, anything else those of the observed media.

    Once the day is certainly final, one poll settles what it observed, except if it has changed since the day could be
    final, or if no video of the slice has plays: an empty response may be an error. What was settled and is unchanged
    keeps the time when it settled: what was added later is newer.
    """
    before = known or SliceData(slice_)
    possible = settlement.possible(slice_.play_date, observation.at)
    final = settlement.certain(slice_.play_date, observation.at)
    final_from = play_dates.start(slice_.play_date) + settlement.after
    has_plays = any(row is not None for row in observation.rows.values()) or any(
        record.row is not None for record in before.records.values()
    )
    one_poll_is_enough = final and has_plays

    def changed_late(before: Freshness | None) -> bool:
        return before is not None and before.observed_at >= final_from

    def freshness(before: Freshness | None, *, same: bool, whole: bool = True) -> Freshness:
        if before is not None and before.settled and same:
            return before
        confirmations = before.confirmations + 1 if before is not None and same and possible else 0
        sure = one_poll_is_enough and whole and (same or not changed_late(before))
        settled = possible and (confirmations >= settlement.unchanged or sure)
        return Freshness(observation.at, confirmations, settled=settled)

    rows = {**_known_zeros(before), **observation.rows} if observation.listed else observation.rows
    changed: set[str] = set()
    late: set[str] = set()  # media whose row changed or disappeared after the day could be final
    records: dict[str, MediaRecord] = {}
    # 50,000 records share two or three of them: by the identity of the previous one, and whether the row is the same.
    shared: dict[tuple[int, bool], Freshness] = {}
    unlisted = before.unlisted_record
    for media_id, row in rows.items():
        previous = before.records.get(media_id, unlisted)
        fresh_before = None if previous is None else previous.freshness
        same = previous is not None and same_row(previous.row, row)
        key = id(fresh_before), same
        if key not in shared:
            shared[key] = freshness(fresh_before, same=same)
        if previous is not None and same:
            # An equal row stays the same object, so that what was built from it need not be built again.
            records[media_id] = MediaRecord(previous.row if previous.row == row else row, shared[key])
        else:
            changed.add(media_id)
            if changed_late(fresh_before):
                late.add(media_id)
            records[media_id] = MediaRecord(row, shared[key])
    listed, rankings = before.listed, dict(before.rankings)
    if observation.listed:
        gone = before.records.keys() - records.keys()
        late.update(media_id for media_id in gone if changed_late(before.records[media_id].freshness))
        listed = freshness(before.listed, same=not changed and not gone, whole=not late)
    for top, first in observation.tops:
        ranked = before.rankings.get(top.by)
        media_ids = _extend_ranking(first, ranked)[: top.n] if observation.truncated else first
        whole = not observation.truncated and top.by not in observation.uncertain_rankings
        # Another order of media with equal values is no change.
        same = whole and ranked is not None and set(ranked.media_ids) == set(first) and changed.isdisjoint(first)
        rankings[top.by] = Ranking(
            top.n,
            media_ids,
            freshness(ranked.freshness if ranked else None, same=same, whole=whole and late.isdisjoint(first)),
        )
    return replace(
        before,
        records=records if observation.listed else {**before.records, **records},
        listed=listed,
        rankings=rankings,
        total=before.total if observation.total is None else observation.total,
        total_at=before.total_at if observation.total is None else observation.at,
        updated_at=observation.at if observation.is_whole else before.updated_at,
        last_response_at=observation.at,
        ready=True,
        unattributed_rows=observation.unattributed_rows if observation.listed else before.unattributed_rows,
    )


def mark_not_ready(known: SliceData | None, slice_: Slice, at: float) -> SliceData:
    """The slice after the service reported at `at` (seconds since 1970) that the day is not computed; data is kept."""
    return replace(known or SliceData(slice_), ready=False, last_response_at=at)


def _extend_ranking(first: tuple[str, ...], ranked: Ranking | None) -> tuple[str, ...]:
    """The media read, followed by the others of the previous ranking: what was not read is not lost."""
    return tuple(dict.fromkeys((*first, *(ranked.media_ids if ranked else ()))))


def _known_zeros(before: SliceData) -> dict[str, PlayRow | None]:
    """Media without a row that were requested by ID: a complete listing without them confirms that."""
    return {media_id: None for media_id, record in before.records.items() if record.row is None}


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
