"""What answers make of what was known of a slice: newer rows, zeros, rankings, and whether they are final."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from exporter.core.model import Answer, Heard, PlayRow, Ranking, SliceData
from exporter.core.row_comparison import same_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import Measure, Slice, Top
    from exporter.core.play_dates import Settlement


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one poll heard of a slice at `at` (seconds since 1970).

    * `rows`: by media ID; None where it was asked for that media and has no row.
    * `swept`: the rows are all there are.
    * `tops`: the first media by a measure, best first.
    * `total`: how many media have plays, where a sweep told.
    * `whole`: everything that was wanted has been answered.
    * `cut`: it ended before its end, so that tops may be longer.
    * `unsure`: measures of tops in which one that belongs there may be missing.
    * `nobodys`: rows that nobody can tell whose they are.
    """

    at: float
    rows: Mapping[str, PlayRow | None] = field(default_factory=dict)
    swept: bool = False
    tops: tuple[tuple[Top, tuple[str, ...]], ...] = ()
    total: int | None = None
    whole: bool = True
    cut: bool = False
    unsure: frozenset[Measure] = frozenset()
    nobodys: int = 0


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
    changed: set[str] = set()
    answers: dict[str, Answer] = {}
    for media_id, row in told.items():
        was = before.answer(media_id)
        if was is not None and same_row(was.row, row):
            # As the object that it was, where it says the same: what is built on it need not be built again.
            answers[media_id] = Answer(was.row if was.row == row else row, heard(was.heard, same=True))
        else:
            changed.add(media_id)
            answers[media_id] = Answer(row, heard_again(0))
    swept, rankings = before.swept, dict(before.rankings)
    if lesson.swept:
        nothing_new = not changed and not before.answers.keys() - answers.keys()
        swept = heard(before.swept, same=nothing_new)
    for top, first in lesson.tops:
        ranked = before.rankings.get(top.by)
        media_ids = _continued(first, ranked)[: top.n] if lesson.cut else first
        # In which order media come that are as good as each other is no change.
        same = (
            not lesson.cut
            and top.by not in lesson.unsure
            and ranked is not None
            and set(ranked.media_ids) == set(first)
            and changed.isdisjoint(first)
        )
        rankings[top.by] = Ranking(top.n, media_ids, heard(ranked.heard if ranked else None, same=same))
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
        nobodys=lesson.nobodys if lesson.swept else before.nobodys,
    )


def not_ready(known: SliceData | None, slice_: Slice, at: float) -> SliceData:
    """The slice after the service said that the day is not computed yet: nothing known is lost."""
    return replace(known or SliceData(slice_), ready=False, asked_at=at)


def _continued(first: tuple[str, ...], ranked: Ranking | None) -> tuple[str, ...]:
    """The first that were read, then those that were the first before: what was not read is not lost."""
    return tuple(dict.fromkeys((*first, *(ranked.media_ids if ranked else ()))))


def _known_zeros(before: SliceData) -> dict[str, PlayRow | None]:
    """Media that were asked for by ID and had no row: a complete sweep without them says the same again."""
    return {media_id: None for media_id, answer in before.answers.items() if answer.row is None}
