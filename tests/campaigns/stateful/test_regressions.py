"""Histories that failed once."""

from __future__ import annotations

import pytest

from exporter.core.model import ByIds, Everything, Measure, Media, PlayRow, Query, Top
from exporter.errors import ErrorKind, UpstreamError
from tests.campaigns.stateful.history import History
from tests.core.fake_service import ALL, failure, not_ready


def test_a_failed_page_of_everything_does_not_empty_a_ranking_by_another_measure() -> None:
    """The listing was to serve both; when its first page failed, the ranking was taken for empty."""
    every, days_ago = 900.0, (1,)
    ranked = Query("ranked", "main", every, Top(1, Measure.PLAY_DURATION), (ALL,), days_ago)
    whole = Query("whole", "main", every, Everything(), (ALL,), days_ago)
    history = History()
    history.begin(queries=(ranked,), largest_page=100)
    history.numbers_change(0, [PlayRow("a", plays=1, play_duration=9)])
    history.a_poll_succeeds(0)
    history.published_data_was_returned()

    history.the_configuration_is_reloaded((ranked, whole), 48, 200_000)
    history.some_minutes_pass(20)
    history.a_poll_meets_errors(0, None, failure())

    history.published_data_was_returned()
    (published,) = history._publication().slices  # noqa: SLF001  # the history is a test itself
    assert list(published.rows) == ["a"]
    history.teardown()


@pytest.mark.parametrize("polled_before", [False, True])
@pytest.mark.parametrize(
    "media", [Everything(), Top(3, Measure.PLAYS), ByIds(frozenset("aefg"))], ids=["all", "top", "ids"]
)
@pytest.mark.parametrize(
    "error",
    [failure(), failure(ErrorKind.THROTTLED), failure(ErrorKind.AUTH), failure(ErrorKind.PARAMETER), not_ready()],
    ids=lambda error: f"{error.kind}",
)
def test_the_pages_before_a_failed_one_are_published_unless_every_call_would_fail(
    error: UpstreamError, media: Media, *, polled_before: bool
) -> None:
    """The histories once expected that a failed page changes nothing."""
    history = History()
    history.begin(queries=(Query("q", "main", 900.0, media, (ALL,), (1,)),), largest_page=2)
    if polled_before:
        history.numbers_change(0, [PlayRow(media_id, viewers=1) for media_id in "abef"])
        history.a_poll_succeeds(0)
        history.some_minutes_pass(30)
    history.numbers_change(0, [PlayRow(media_id) for media_id in "bcdaef"])

    history.a_poll_meets_errors(0, 2, error)

    history.published_data_was_returned()
    history.teardown()
