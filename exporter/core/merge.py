"""An observation of one slice, merged into the known data: rows, zeros, rankings, what is settled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter.core import play_dates
from exporter.core.fields import same_row
from exporter.core.model import Freshness, MediaRecord, Ranking, SliceData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import PlayRow, Slice
    from exporter.core.observation import SliceObservation
    from exporter.core.play_dates import Settlement


@dataclass(frozen=True, slots=True)
class _Poll:
    """What a poll says about whether the data of a day is settled.

    * `at`: when; `final_from`: what has changed since then changed late. In seconds since 1970.
    * `possible`: the day can be final.
    * `one_is_enough`: this poll settles what has not changed late, however often that was confirmed.
    * `unchanged`: how many unchanged polls settle the rest.
    """

    at: float
    final_from: float
    possible: bool
    one_is_enough: bool
    unchanged: int

    @classmethod
    def of(cls, observation: SliceObservation, before: SliceData, settlement: Settlement) -> _Poll:
        day, at = before.slice.play_date, observation.at
        has_plays = any(row is not None for row in observation.rows.values()) or any(
            record.row is not None for record in before.records.values()
        )
        return cls(
            at,
            final_from=play_dates.start(day) + settlement.after,
            possible=settlement.possible(day, at),
            one_is_enough=settlement.certain(day, at) and has_plays,
            unchanged=settlement.unchanged,
        )

    def changed_late(self, before: Freshness | None) -> bool:
        """Whether a change is late: what has changed was last observed when the day could be final already."""
        return before is not None and before.observed_at >= self.final_from

    def freshness(self, before: Freshness | None, *, same: bool, whole: bool = True) -> Freshness:
        """The freshness after this poll of what it observed; `whole` if nothing that belongs to it can be missing."""
        if before is not None and before.settled and same:
            return before
        confirmations = before.confirmations + 1 if before is not None and same and self.possible else 0
        sure = self.one_is_enough and whole and (same or not self.changed_late(before))
        settled = self.possible and (confirmations >= self.unchanged or sure)
        return Freshness(self.at, confirmations, settled=settled)


def merge_observation(
    known: SliceData | None, slice_: Slice, observation: SliceObservation, settlement: Settlement
) -> SliceData:
    """The slice after a poll: a complete listing replaces all records, anything else those of the observed media.

    Once the day is certainly final, one poll settles what it observed, except if it has changed since the day could be
    final, or if no video of the slice has plays: an empty response may be an error. What was settled and is unchanged
    keeps the time when it settled: what was added later is newer.
    """
    before = known or SliceData(slice_)
    poll = _Poll.of(observation, before, settlement)
    rows = {**_known_zeros(before), **observation.rows} if observation.listed else observation.rows
    records, changed, late = _records(rows, before, poll)
    listed, rankings = before.listed, dict(before.rankings)
    if observation.listed:
        gone = before.records.keys() - records.keys()
        late.update(media_id for media_id in gone if poll.changed_late(before.records[media_id].freshness))
        listed = poll.freshness(before.listed, same=not changed and not gone, whole=not late)
    for top, first in observation.tops:
        ranked = before.rankings.get(top.by)
        media_ids = _extend_ranking(first, ranked)[: top.n] if observation.truncated else first
        whole = not observation.truncated and top.by not in observation.uncertain_rankings
        # Another order of media with equal values is no change.
        same = whole and ranked is not None and set(ranked.media_ids) == set(first) and changed.isdisjoint(first)
        rankings[top.by] = Ranking(
            top.n,
            media_ids,
            poll.freshness(ranked.freshness if ranked else None, same=same, whole=whole and late.isdisjoint(first)),
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


def _records(
    rows: Mapping[str, PlayRow | None], before: SliceData, poll: _Poll
) -> tuple[dict[str, MediaRecord], set[str], set[str]]:
    """The records of observed media, which of these media have changed, and which of them did so late."""
    records: dict[str, MediaRecord] = {}
    changed: set[str] = set()
    late: set[str] = set()
    # 50,000 records share two or three of them: by the identity of the previous one, and whether the row is the same.
    shared: dict[tuple[int, bool], Freshness] = {}
    unlisted = before.unlisted_record
    for media_id, row in rows.items():
        previous = before.records.get(media_id, unlisted)
        fresh_before = None if previous is None else previous.freshness
        same = previous is not None and same_row(previous.row, row)
        key = id(fresh_before), same
        if key not in shared:
            shared[key] = poll.freshness(fresh_before, same=same)
        if previous is not None and same:
            # An equal row stays the same object, so that what was built from it need not be built again.
            records[media_id] = MediaRecord(previous.row if previous.row == row else row, shared[key])
        else:
            changed.add(media_id)
            if poll.changed_late(fresh_before):
                late.add(media_id)
            records[media_id] = MediaRecord(row, shared[key])
    return records, changed, late
