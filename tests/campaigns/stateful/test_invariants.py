"""Every invariant finds its violation, one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from exporter.core.model import ByIds, Everything, PlayRow, Query
from tests.campaigns.stateful.history import History
from tests.campaigns.stateful.invariants import check_publication, check_series_limit
from tests.core.fake_service import ALL, NOON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.core.poll_report import PollReport
    from exporter.core.publication import Publication, PublishedSlice

HOUR = 3600.0
QUERY = Query("q", "main", 900.0, ByIds(frozenset("ab")), (ALL,), (0, 1))


@pytest.fixture
def history() -> Iterator[History]:
    """Yesterday a has plays and b has none, both settled; today is not ready."""
    history = History()
    history.begin(queries=(QUERY,), largest_page=100)
    yesterday, today = range(2)
    history.numbers_change(yesterday, [PlayRow("a", "title", plays=7)])
    for _ in range(3):
        history.a_poll_succeeds(0)
        history.some_minutes_pass(20)
    history.a_day_is_not_ready(0, today)
    history.published_data_was_returned()
    yield history
    history.teardown()


def test_returned_data_is_published(history: History) -> None:
    today, yesterday = history._publication().slices  # noqa: SLF001  # the history is a test itself
    assert yesterday.rows == {"a": PlayRow("a", "title", plays=7), "b": None}
    assert (yesterday.settled, yesterday.ready) == (True, True)
    assert (today.settled, today.ready) == (False, False)


def _yesterday(**changed: object) -> Callable[[Publication], Publication]:
    def lie(current: Publication) -> Publication:
        today, yesterday = current.slices
        return replace(current, slices=(today, replace(yesterday, **changed)))  # type: ignore[arg-type]

    return lie


def _rows(**rows: PlayRow | None) -> Callable[[Publication], Publication]:
    return _yesterday(rows=rows)


PLAYED = PlayRow("a", "title", plays=7)


@pytest.mark.parametrize(
    ("lie", "objection"),
    [
        (_rows(a=PlayRow("a", "title", plays=8), b=None), "which was not returned"),
        (_rows(a=None, b=None), "which was not returned"),
        (_rows(a=PLAYED), "b was returned and is not shown"),
        (_rows(a=PLAYED, b=None, c=None), "which was not returned"),
        (_rows(a=PLAYED, b=None, c=PLAYED), "which was not returned"),
        (_yesterday(days_ago=2), "on another day"),
        (_yesterday(settled=False), "it was final"),
        (_yesterday(ready=False), "ready is False"),
        (_yesterday(total=9), "9 was never counted"),
        (_yesterday(updated_at=NOON - 1.0), "the last good poll is wrong"),
        (lambda current: replace(current, slices=current.slices[:1]), "that was answered is not shown"),
        (lambda current: replace(current, slices=(*current.slices, current.slices[0])), "shown twice"),
        (lambda current: replace(current, media=current.media[:1]), "not those that are shown"),
        (lambda current: replace(current, media=(*current.media, current.media[0])), "described twice"),
        (lambda current: replace(current, media=tuple(replace(m, title="x") for m in current.media)), "never returned"),
        (lambda current: replace(current, days={0: 0.0, 1: 0.0}), "dates are wrong"),
        (lambda current: replace(current, valid_until=NOON), "does not hold now"),
    ],
)
def test_a_false_row_is_found(history: History, lie: Callable[[Publication], Publication], objection: str) -> None:
    current = lie(history._publication())  # noqa: SLF001  # as above
    with pytest.raises(AssertionError, match=objection):
        check_publication(current, history.model, stale_after=48 * HOUR, now=history.service.now)


def test_a_number_of_another_day_is_found(history: History) -> None:
    def mixed(today: PublishedSlice, yesterday: PublishedSlice) -> tuple[PublishedSlice, ...]:
        return replace(today, rows=yesterday.rows), yesterday

    current = history._publication()  # noqa: SLF001  # as above
    with pytest.raises(AssertionError, match="which was not returned"):
        check_publication(
            replace(current, slices=mixed(*current.slices)),
            history.model,
            stale_after=48 * HOUR,
            now=history.service.now,
        )


def test_stale_data_is_found(history: History) -> None:
    current = history._publication()  # noqa: SLF001  # as above
    with pytest.raises(AssertionError, match="it is stale"):
        check_publication(current, history.model, stale_after=0.0, now=history.service.now)


def test_a_dropped_most_played_media_is_found(history: History) -> None:
    whole = history._publication()  # noqa: SLF001  # as above
    kept = tuple(each for each in whole.media if each.media_id == "b")
    rows = tuple(replace(p, rows={m: row for m, row in p.rows.items() if m == "b"}) for p in whole.slices)
    current = replace(whole, slices=rows, media=kept, series=3, dropped=whole.series - 3)
    with pytest.raises(AssertionError, match="more plays"):
        check_series_limit(current, whole, 3)


def test_lost_data_after_a_restart_is_found(history: History) -> None:
    history.path = history.folder / "empty.db"
    with pytest.raises(AssertionError, match="a restart has changed"):
        history.the_daemon_is_restarted()


class ForgetfulPoller:
    """Publishes its data, but polls as if it had none."""

    def __init__(self, history: History) -> None:
        self.snapshot = history.poller.snapshot
        self._querying = history.service.poller(queries=[QUERY])

    async def poll(self, query: Query) -> PollReport:
        return await self._querying.poll(query)


def test_a_request_for_settled_data_is_found(history: History) -> None:
    history.poller = ForgetfulPoller(history)  # type: ignore[assignment]  # as far as a history needs it
    with pytest.raises(AssertionError, match="requested again"):
        history.a_poll_succeeds(0)


def test_a_zero_of_a_video_that_is_not_queried_is_found(history: History) -> None:
    history.the_configuration_is_reloaded((replace(QUERY, media=Everything()),), 48, 200_000)
    history.a_poll_succeeds(0)
    current = history._publication()  # noqa: SLF001  # as above
    history.published_data_was_returned()
    with pytest.raises(AssertionError, match="b is a zero and no query"):
        check_publication(
            _rows(a=PLAYED, b=None)(current), history.model, stale_after=48 * HOUR, now=history.service.now
        )
