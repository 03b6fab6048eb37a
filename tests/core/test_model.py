from __future__ import annotations

from dataclasses import replace

from exporter.core.media_details import FoundMedia, Search
from exporter.core.model import Freshness, Measure, MediaRecord, Ranking, RowProblem, Slice, SliceData, merged_problems
from tests.core.fake_service import ALL, YESTERDAY, ids, query, row, top

SLICE = Slice("main", ALL, YESTERDAY)
EARLY, LATE = Freshness(1.0), Freshness(2.0)
PLAYS, RATIO = Measure.PLAYS, Measure.PLAYS_PER_VIEWER


def test_a_ranking_is_cut_to_the_requested_length() -> None:
    data = SliceData(SLICE, rankings={PLAYS: Ranking(3, ("a", "b", "c"), EARLY)})

    assert data.ranking(top(2)) == Ranking(2, ("a", "b"), EARLY)
    assert data.ranking(top(3)) == Ranking(3, ("a", "b", "c"), EARLY)
    assert data.ranking(top(4)) is None
    assert data.ranking(top(2, RATIO)) is None


def test_a_listing_ranks_by_any_measure_with_missing_values_as_zero_and_ties_by_id() -> None:
    rows = {"y": row("y", plays_per_viewer=0.5), "z": row("z"), "x": row("x", plays_per_viewer=0.5), "none": None}
    data = SliceData(SLICE, records={m: MediaRecord(each, EARLY) for m, each in rows.items()}, listed=EARLY)

    assert data.ranking(top(9, RATIO)) == Ranking(9, ("x", "y", "z"), EARLY)
    assert data.ranking(top(1, RATIO)) == Ranking(1, ("x",), EARLY)


def test_the_newer_of_ranking_and_listing_is_used() -> None:
    listed = {"records": {"a": MediaRecord(row("a"), EARLY)}}
    ranking = Ranking(1, ("b",), LATE)

    assert SliceData(SLICE, **listed, listed=EARLY, rankings={PLAYS: ranking}).ranking(top(1)) == ranking  # type: ignore[arg-type]
    same_time = SliceData(SLICE, **listed, listed=LATE, rankings={PLAYS: ranking}).ranking(top(1))  # type: ignore[arg-type]
    assert same_time == Ranking(1, ("a",), LATE)
    older = SliceData(SLICE, **listed, listed=Freshness(3.0), rankings={PLAYS: ranking}).ranking(top(1))  # type: ignore[arg-type]
    assert older == Ranking(1, ("a",), Freshness(3.0))


def test_a_query_has_the_media_that_its_search_has_found() -> None:
    new, free = Search(tags=("new",)), Search(tags=("free",))
    found = {("main", new): FoundMedia(frozenset("ab"), 1.0), ("other", free): FoundMedia(frozenset("c"), 1.0)}
    searching = query(ids(), search=new, every=60.0)

    assert searching.with_found(found) == replace(searching, media=ids("a", "b"))
    assert query(ids("x")).with_found(found) == query(ids("x"))
    not_found_yet = query(ids(), search=free)
    assert not_found_yet.with_found(found) == not_found_yet


def test_problems_of_the_same_field_and_reason_are_counted_together() -> None:
    problems = (
        RowProblem("DAU", "negative", "a"),
        RowProblem("DAU", "negative", "b", 2),
        RowProblem("DAU", "no number", "c"),
    )

    assert merged_problems(problems) == (RowProblem("DAU", "negative", "a", 3), RowProblem("DAU", "no number", "c"))
