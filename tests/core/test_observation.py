"""The observation of a slice: the tops and rows of the pages that were read."""

from __future__ import annotations

from exporter.core.listing import Listing
from exporter.core.model import Measure, Page, Top
from exporter.core.observation import observe
from exporter.core.plan import FetchPlan
from tests.core.fake_service import row

PLAYS, RATIO = Measure.PLAYS, Measure.PLAYS_PER_VIEWER


def incomplete(n: int | None = None) -> Listing:
    """A listing of which two rows of ten were read."""
    listing = Listing(PLAYS, 2, n)
    listing.add(Page((row("a", 9, plays_per_viewer=1), row("b", 8, plays_per_viewer=2)), 10, "R"))
    return listing


def test_a_top_of_which_no_page_was_read_is_not_known() -> None:
    observed = observe(FetchPlan(tops={PLAYS: 1}), {PLAYS: Listing(PLAYS, 1, 1)}, {}, 1.0, aborted=True)
    assert (observed.tops, observed.rows, observed.truncated, observed.is_whole) == ((), {}, True, False)
    assert observed.unattributed_rows == 0


def test_a_top_by_another_measure_is_sorted_by_the_numbers_of_all_rows() -> None:
    plan = FetchPlan(tops={RATIO: 1}, everything=True)
    observed = observe(plan, {PLAYS: incomplete()}, {}, 1.0, aborted=False)
    assert observed.tops == ((Top(1, RATIO), ("b",)),)
    assert observed.uncertain_rankings == frozenset()


def test_rows_of_a_top_that_is_no_longer_planned_are_kept() -> None:
    observed = observe(FetchPlan(ids=frozenset({"x"})), {PLAYS: incomplete(n=2)}, {"x": None}, 1.0, aborted=False)
    assert set(observed.rows) == {"a", "b", "x"}
