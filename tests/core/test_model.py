from __future__ import annotations

from exporter.core.model import Answer, Heard, Measure, Ranking, Slice, SliceData
from tests.core.fake_service import ALL, YESTERDAY, row, top

SLICE = Slice("main", ALL, YESTERDAY)
EARLY, LATE = Heard(1.0), Heard(2.0)
PLAYS, RATIO = Measure.PLAYS, Measure.PLAYS_PER_VIEWER


def test_a_ranking_gives_as_many_as_are_wanted_of_it() -> None:
    data = SliceData(SLICE, rankings={PLAYS: Ranking(3, ("a", "b", "c"), EARLY)})

    assert data.ranking(top(2)) == Ranking(2, ("a", "b"), EARLY)
    assert data.ranking(top(3)) == Ranking(3, ("a", "b", "c"), EARLY)
    assert data.ranking(top(4)) is None
    assert data.ranking(top(2, RATIO)) is None


def test_a_sweep_ranks_by_any_measure_with_what_is_not_given_as_nothing_and_equals_by_their_names() -> None:
    rows = {"y": row("y", plays_per_viewer=0.5), "z": row("z"), "x": row("x", plays_per_viewer=0.5), "none": None}
    data = SliceData(SLICE, answers={m: Answer(each, EARLY) for m, each in rows.items()}, swept=EARLY)

    assert data.ranking(top(9, RATIO)) == Ranking(9, ("x", "y", "z"), EARLY)
    assert data.ranking(top(1, RATIO)) == Ranking(1, ("x",), EARLY)


def test_whichever_was_told_last_ranks() -> None:
    swept = {"answers": {"a": Answer(row("a"), EARLY)}}
    told = Ranking(1, ("b",), LATE)

    assert SliceData(SLICE, **swept, swept=EARLY, rankings={PLAYS: told}).ranking(top(1)) == told  # type: ignore[arg-type]
    older = SliceData(SLICE, **swept, swept=Heard(3.0), rankings={PLAYS: told}).ranking(top(1))  # type: ignore[arg-type]
    assert older == Ranking(1, ("a",), Heard(3.0))
