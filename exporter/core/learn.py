"""What answers make of what was known of a slice: newer rows, zeros, rankings, and whether they are final."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from exporter.core.model import Answer, Heard, PlayRow, Ranking, SliceData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.days import Settlement
    from exporter.core.model import Slice, Top


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one poll heard of a slice at `at` (seconds since 1970).

    * `rows`: by media ID; None where it was asked for that media and has no row.
    * `swept`: the rows are all there are.
    * `tops`: the first media by a measure, best first.
    * `total`: how many media have plays, where a sweep told.
    * `whole`: everything that was wanted has been answered.
    """

    at: float
    rows: Mapping[str, PlayRow | None] = field(default_factory=dict)
    swept: bool = False
    tops: tuple[tuple[Top, tuple[str, ...]], ...] = ()
    total: int | None = None
    whole: bool = True


def learn(known: SliceData | None, slice_: Slice, lesson: Lesson, settlement: Settlement) -> SliceData:
    """The slice after a poll: a complete sweep replaces every answer, anything else replaces what it answers."""
    before = known or SliceData(slice_)
    possible = settlement.possible(slice_.play_date, lesson.at)

    @cache  # a slice of 50,000 media has heard two or three different things, and keeps them for as long as it lives
    def heard_again(confirmed: int) -> Heard:
        return Heard(lesson.at, confirmed, settled=possible and confirmed >= settlement.unchanged)

    def heard(was: Heard | None, *, same: bool) -> Heard:
        return heard_again(was.confirmed + 1 if was is not None and same and possible else 0)

    told = {**_known_zeros(before), **lesson.rows} if lesson.swept else lesson.rows
    rows = {media_id: _kept(before.answers.get(media_id), row) for media_id, row in told.items()}
    changed = {media_id for media_id, row in rows.items() if not _same(before.answer(media_id), row)}
    answers = {
        media_id: Answer(row, heard(_heard(before.answer(media_id)), same=media_id not in changed))
        for media_id, row in rows.items()
    }
    swept, rankings = before.swept, dict(before.rankings)
    if lesson.swept:
        nothing_new = not changed and not before.answers.keys() - rows.keys()
        swept = heard(before.swept, same=nothing_new)
    for top, first in lesson.tops:
        was = before.rankings.get(top.by)
        same = was is not None and was.media_ids == first and changed.isdisjoint(first)
        rankings[top.by] = Ranking(top.n, first, heard(was.heard if was else None, same=same))
    return replace(
        before,
        answers=answers if lesson.swept else {**before.answers, **answers},
        swept=swept,
        rankings=rankings,
        total=before.total if lesson.total is None else lesson.total,
        total_at=before.total_at if lesson.total is None else lesson.at,
        updated_at=lesson.at if lesson.whole else before.updated_at,
        asked_at=lesson.at,
        ready=True,
    )


def not_ready(known: SliceData | None, slice_: Slice, at: float) -> SliceData:
    """The slice after the service said that the day is not computed yet: nothing known is lost."""
    return replace(known or SliceData(slice_), ready=False, asked_at=at)


def _known_zeros(before: SliceData) -> dict[str, PlayRow | None]:
    """Media that were asked for by ID and had no row: a complete sweep without them says the same again."""
    return {media_id: None for media_id, answer in before.answers.items() if answer.row is None}


def _heard(answer: Answer | None) -> Heard | None:
    return answer.heard if answer else None


def _kept(was: Answer | None, row: PlayRow | None) -> PlayRow | None:
    """A row as the object that it was, where it says the same: what is built on it need not be built again."""
    return was.row if was is not None and was.row == row else row


def _same(was: Answer | None, row: PlayRow | None) -> bool:
    """Whether the numbers of a media are those that were known; a new title is no change, unknown is not the same."""
    return was is not None and (was.row is row or _numbers(was.row) == _numbers(row))


def _numbers(row: PlayRow | None) -> tuple[int | float | None, ...] | None:
    if row is None:
        return None
    return row.viewers, row.plays, row.plays_per_viewer, row.play_duration, row.play_duration_per_viewer
