from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from exporter.backfill import replay
from exporter.core.merge import mark_not_ready, merge_observation
from exporter.core.model import ByIds, Dimensions, Measure, PlayRow, Query, Slice, SliceData, Snapshot, Top
from exporter.core.observation import SliceObservation
from exporter.core.play_dates import Settlement
from exporter.core.publication import PublicationRules

HOUR, DAY = 3600, 86_400
NOON = datetime.fromisoformat("2024-03-24T12:00:00+08:00").timestamp()
TODAY = date(2024, 3, 24)
YESTERDAY, BEFORE = TODAY - timedelta(days=1), TODAY - timedelta(days=2)
# 09:00 UTC+8 of 2024-03-23, when BEFORE is first seen.
NINE = datetime.fromisoformat("2024-03-23T09:00:00+08:00").timestamp()
A = Query("q", "main", 900.0, ByIds(frozenset({"a", "b"})), (Dimensions(),), (1, 8))


def slice_of(play_date: date = BEFORE) -> Slice:
    return Slice("main", Dimensions(), play_date)


def freshness(
    at: float = NOON, *, play_date: date = BEFORE, settlement: Settlement | None = None, **fields: float
) -> SliceData:
    rows = {media_id: PlayRow(media_id, plays=plays) for media_id, plays in fields.items()}
    return merge_observation(None, slice_of(play_date), SliceObservation(at, rows), settlement or Settlement())


def views(
    *known: SliceData, configured_query: Query = A, step: int = HOUR, settlement: Settlement | None = None
) -> tuple[replay.HistoricalView, ...]:
    settlement = settlement or Settlement()
    dates = replay.past_dates(NOON, 30, settlement)
    return replay.views(
        Snapshot().updated(known),
        PublicationRules((configured_query,), 2 * DAY, 1000),
        settlement,
        dates,
        step=step,
        now=NOON,
    )


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2024-03-24T12:00:00+08:00", YESTERDAY),
        ("2024-03-24T11:59:59+08:00", BEFORE),
        ("2024-03-24T00:00:00+08:00", BEFORE),
        ("2024-03-23T23:59:59+08:00", BEFORE),
    ],
)
def test_a_day_can_be_written_three_hours_after_it_is_first_seen(now: str, newest: date) -> None:
    at = datetime.fromisoformat(now).timestamp()

    assert replay.past_dates(at, 3, Settlement())[0] == newest
    assert (newest == YESTERDAY) == (replay.writable_from(YESTERDAY, Settlement()) <= at)


def test_a_day_that_is_final_later_is_written_later() -> None:
    late = Settlement(after=3.0 * DAY)

    assert replay.past_dates(NOON, 4, late)[0] == TODAY - timedelta(days=3)


def test_the_days_are_those_of_the_service_s_calendar_newest_first() -> None:
    assert replay.past_dates(NOON, 3, Settlement()) == (YESTERDAY, BEFORE, BEFORE - timedelta(days=1))


def test_yesterday_is_always_looked_at_and_today_never() -> None:
    queries = replay.past_queries([replace(A, days_ago=(0, 9, 2)), replace(A, days_ago=(0,))])

    assert [query.days_ago for query in queries] == [(1, 2, 9), (1,)]


def test_a_day_is_seen_for_24_hours_from_9_in_the_morning_on() -> None:
    (view,) = views(freshness(a=1, b=2))

    assert view.instants == range(int(NINE), int(NINE) + DAY, HOUR)
    (published,) = view.publication.slices
    assert (published.slice.play_date, published.days_ago) == (BEFORE, 1)


def test_nothing_is_later_than_three_hours_ago() -> None:
    *_, view = views(freshness(a=1), freshness(a=1, play_date=YESTERDAY), step=60)

    assert list(view.instants) == [NOON - 3 * HOUR]


def test_a_day_moves_on_through_the_windows() -> None:
    old = BEFORE - timedelta(days=7)

    seen = [(v.publication.slices[0].days_ago, v.instants[0]) for v in views(freshness(a=1, play_date=old))]

    assert seen == [(1, NINE - 7 * DAY), (8, NINE)]


def test_data_observed_before_its_day_could_be_final_is_absent() -> None:
    early = merge_observation(None, slice_of(), SliceObservation(NINE - 1, {"a": PlayRow("a", plays=1)}), Settlement())
    late = merge_observation(early, slice_of(), SliceObservation(NINE, {"b": PlayRow("b", plays=2)}), Settlement())

    assert views(early) == ()
    (view,) = views(late)
    assert list(view.publication.slices[0].rows) == ["b"]
    assert view.publication.slices[0].settled is False, "a is missing"


def test_final_numbers_are_settled_and_as_old_as_the_day_itself() -> None:
    (view,) = views(freshness(a=1, b=2))

    (published,) = view.publication.slices
    assert (published.settled, published.updated_at, published.total) == (True, NINE, None)


def test_an_old_ranking_and_an_old_total_do_not_stand() -> None:
    top = Top(1, Measure.PLAYS)
    observation = SliceObservation(NINE - 1, {"a": PlayRow("a", plays=9)}, tops=((top, ("a",)),), total=7)
    early = merge_observation(None, slice_of(), observation, Settlement())
    late = merge_observation(
        early, slice_of(), SliceObservation(NOON, {"b": PlayRow("b", plays=1)}, is_whole=False), Settlement()
    )

    (view,) = views(late, configured_query=replace(A, media=top))

    (published,) = view.publication.slices
    assert (dict(published.rows), published.total, published.updated_at) == ({}, None, None)


def test_a_final_ranking_stands() -> None:
    top = Top(1, Measure.PLAYS)
    observation = SliceObservation(NOON, {"a": PlayRow("a", plays=9)}, tops=((top, ("a",)),), total=7)

    (view,) = views(
        merge_observation(None, slice_of(), observation, Settlement()), configured_query=replace(A, media=top)
    )

    (published,) = view.publication.slices
    assert (list(published.rows), published.total, published.settled) == (["a"], 7, True)


def test_a_day_that_the_service_has_not_computed_is_absent() -> None:
    assert views(mark_not_ready(None, slice_of(), NOON)) == ()


def test_numbers_never_become_stale() -> None:
    old = BEFORE - timedelta(days=7)
    long_ago = NINE - 7 * DAY

    assert len(views(freshness(long_ago, a=1, b=1, play_date=old))) == 2
