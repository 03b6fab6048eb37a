"""Histories that failed once."""

from __future__ import annotations

from exporter.core.model import Everything, Measure, PlayRow, Query, Top
from tests.campaigns.stateful.history import History
from tests.core.fake_service import ALL, failure


def test_a_failed_page_of_everything_does_not_empty_a_ranking_by_another_measure() -> None:
    """The listing was to serve both; when its first page failed, the ranking was taken for empty."""
    every, days_ago = 900.0, (1,)
    ranked = Query("ranked", "main", every, Top(1, Measure.PLAY_DURATION), (ALL,), days_ago)
    whole = Query("whole", "main", every, Everything(), (ALL,), days_ago)
    history = History()
    history.begin(queries=(ranked,), largest_page=100)
    history.numbers_change(0, [PlayRow("a", plays=1, play_duration=9)])
    history.a_poll_succeeds(0)
    history.what_is_shown_is_what_was_said()

    history.it_is_reloaded((ranked, whole), 48, 200_000)
    history.some_minutes_pass(20)
    history.a_poll_meets_errors(0, None, failure())

    history.what_is_shown_is_what_was_said()
    (published,) = history._publication().slices  # noqa: SLF001  # the history is a test itself
    assert list(published.rows) == ["a"]
    history.teardown()
