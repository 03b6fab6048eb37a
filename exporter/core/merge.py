"""What answers make of what was known of a slice: newer rows, zeros, rankings, and whether they are final."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from exporter.core.model import Freshness, MediaRecord, PlayRow, Ranking, SliceData
from exporter.core.row_comparison import same_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import Measure, Slice, Top
    from exporter.core.play_dates import Settlement


@dataclass(frozen=True, slots=True)
class SliceObservation:
    """What one poll heard of a slice at `at` (seconds since 1970).

    * `rows`: by media ID; None where it was asked for that media and has no row.
    * `listed`: the rows are all there are.
    * `tops`: the first media by a measure, best first.
    * `total`: how many media have plays, where a sweep told.
    * `is_whole`: everything that was wanted has been answered.
    * `truncated`: it ended before its end, so that tops may be longer.
    * `uncertain_rankings`: measures of tops in which one that belongs there may be missing.
    * `unattributed_rows`: rows that nobody can tell whose they are.
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
    """The slice after a poll: a complete sweep replaces every answer, anything else replaces what it answers."""
    before = known or SliceData(slice_)
    possible = settlement.possible(slice_.play_date, observation.at)

    @cache  # a slice of 50,000 media has heard two or three different things, and keeps them for as long as it lives
    def heard_again(confirmations: int) -> Freshness:
        return Freshness(observation.at, confirmations, settled=possible and confirmations >= settlement.unchanged)

    def freshness(was: Freshness | None, *, same: bool) -> Freshness:
        return heard_again(was.confirmations + 1 if was is not None and same and possible else 0)

    told = {**_known_zeros(before), **observation.rows} if observation.listed else observation.rows
    changed: set[str] = set()
    answers: dict[str, MediaRecord] = {}
    for media_id, row in told.items():
        was = before.answer(media_id)
        if was is not None and same_row(was.row, row):
            # As the object that it was, where it says the same: what is built on it need not be built again.
            answers[media_id] = MediaRecord(was.row if was.row == row else row, freshness(was.freshness, same=True))
        else:
            changed.add(media_id)
            answers[media_id] = MediaRecord(row, heard_again(0))
    listed, rankings = before.listed, dict(before.rankings)
    if observation.listed:
        nothing_new = not changed and not before.answers.keys() - answers.keys()
        listed = freshness(before.listed, same=nothing_new)
    for top, first in observation.tops:
        ranked = before.rankings.get(top.by)
        media_ids = _extend_ranking(first, ranked)[: top.n] if observation.truncated else first
        # In which order media come that are as good as each other is no change.
        same = (
            not observation.truncated
            and top.by not in observation.uncertain_rankings
            and ranked is not None
            and set(ranked.media_ids) == set(first)
            and changed.isdisjoint(first)
        )
        rankings[top.by] = Ranking(top.n, media_ids, freshness(ranked.freshness if ranked else None, same=same))
    return replace(
        before,
        answers=answers if observation.listed else {**before.answers, **answers},
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
    """The slice after the service said that the day is not computed yet: nothing known is lost."""
    return replace(known or SliceData(slice_), ready=False, last_response_at=at)


def _extend_ranking(first: tuple[str, ...], ranked: Ranking | None) -> tuple[str, ...]:
    """The first that were read, then those that were the first before: what was not read is not lost."""
    return tuple(dict.fromkeys((*first, *(ranked.media_ids if ranked else ()))))


def _known_zeros(before: SliceData) -> dict[str, PlayRow | None]:
    """Media that were asked for by ID and had no row: a complete sweep without them says the same again."""
    return {media_id: None for media_id, answer in before.answers.items() if answer.row is None}
