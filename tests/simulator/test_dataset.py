from __future__ import annotations

import re
from datetime import date, timedelta
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.core.model import OPERATING_SYSTEMS, REGIONS, TERMINAL_TYPES, Dimensions, Measure
from exporter.simulator.calendar import start_of_day
from exporter.simulator.dataset import Dataset, Order, progress
from exporter.simulator.generated_media import EXAMPLE_MEDIA_ID
from exporter.simulator.incidents import collapse

DATASET = Dataset(seed=7, media=60)
HOUR = 3600.0

dates = st.dates(date(2020, 1, 1), date(2060, 12, 31))
ids = st.sampled_from(DATASET.media_ids)
elapsed = st.floats(-HOUR, 40 * HOUR)
dimensions = st.builds(
    Dimensions,
    st.sampled_from([None, *TERMINAL_TYPES]),
    st.sampled_from([None, *OPERATING_SYSTEMS]),
    st.sampled_from([None, *REGIONS]),
)


def _numbers(media_id: str, day: date, what: Dimensions, now: float) -> tuple[int, int, int]:
    """Plays, viewers, play duration; zeros where there is no row."""
    counts = DATASET.counts(media_id, day, what, now=now)
    return (counts.plays, counts.viewers, counts.play_duration) if counts else (0, 0, 0)


def _splits(what: Dimensions) -> list[list[Dimensions]]:
    """Every way to split a selection by one dimension that it does not filter."""
    splits = []
    if what.terminal_type is None:
        splits.append([Dimensions(value, what.os, what.region) for value in TERMINAL_TYPES])
    if what.os is None:
        splits.append([Dimensions(what.terminal_type, value, what.region) for value in OPERATING_SYSTEMS])
    if what.region is None:
        splits.append([Dimensions(what.terminal_type, what.os, value) for value in REGIONS])
    return splits


@given(ids, dates, dimensions, elapsed)
@settings(max_examples=400)
def test_plays_and_play_duration_add_up_and_viewers_stay_between_the_largest_part_and_all_parts(
    media_id: str, day: date, what: Dimensions, after: float
) -> None:
    now = start_of_day(day) + after
    plays, viewers, duration = _numbers(media_id, day, what, now)
    for split in _splits(what):
        parts = [_numbers(media_id, day, part, now) for part in split]
        assert sum(part[0] for part in parts) == plays
        assert sum(part[2] for part in parts) == duration
        assert max(part[1] for part in parts) <= viewers <= sum(part[1] for part in parts)


@given(ids, dates, dimensions, elapsed, st.floats(0, 40 * HOUR))
@settings(max_examples=400)
def test_numbers_only_grow_until_they_are_final(
    media_id: str, day: date, what: Dimensions, after: float, later: float
) -> None:
    first = _numbers(media_id, day, what, start_of_day(day) + after)
    second = _numbers(media_id, day, what, start_of_day(day) + after + later)
    assert all(before <= after_ for before, after_ in zip(first, second, strict=True))


@given(ids, dates, dimensions, st.floats(33 * HOUR, 40 * 24 * HOUR))
def test_from_nine_the_next_day_on_nothing_changes(media_id: str, day: date, what: Dimensions, after: float) -> None:
    final = DATASET.row(media_id, day, what, now=start_of_day(day) + 33 * HOUR)
    assert DATASET.row(media_id, day, what, now=start_of_day(day) + after) == final


@given(dates, dimensions, elapsed)
@settings(max_examples=25)
def test_the_same_seed_gives_the_same_rows_every_time(day: date, what: Dimensions, after: float) -> None:
    now = start_of_day(day) + after
    again = Dataset(seed=7, media=60)
    rows = [counts.row() for counts in DATASET.result_set(day, what, now=now)]
    assert rows == [row for id_ in again.media_ids if (row := again.row(id_, day, what, now=now))]
    assert rows == [counts.row() for counts in DATASET.result_set(day, what, now=now)]


@given(ids, dates, dimensions)
def test_the_fields_of_a_row_are_consistent(media_id: str, day: date, what: Dimensions) -> None:
    counts = DATASET.counts(media_id, day, what, now=start_of_day(day) + 33 * HOUR)
    if counts is not None:
        row = counts.row()
        assert 0 < counts.viewers <= counts.plays
        assert 0 < counts.play_duration <= counts.plays * counts.media.duration
        assert row.plays_per_viewer == round(counts.plays / counts.viewers, 2)
        assert row.play_duration_per_viewer == round(counts.play_duration / counts.viewers, 2)


@given(dates, dimensions, st.sampled_from(Measure), st.booleans())
@settings(max_examples=50)
def test_an_order_changes_only_the_order_of_rows(day: date, what: Dimensions, by: Measure, descending: bool) -> None:  # noqa: FBT001 - drawn
    now = start_of_day(day) + 20 * HOUR
    ordered = DATASET.result_set(day, what, Order(by, descending), now=now)
    assert {row.media.media_id for row in ordered} == {
        row.media.media_id for row in DATASET.result_set(day, what, now=now)
    }
    values = [getattr(counts.row(), by.value) for counts in ordered]
    assert values == sorted(values, reverse=descending)


@pytest.mark.parametrize(
    ("hours", "known"),
    [(-1, 0), (0.4, 0), (12, 0.48), (24, 0.96), (28.5, 0.98), (32.9, 0.9995), (33, 1), (900, 1)],
)
def test_a_day_grows_to_96_percent_and_settles_at_nine(hours: float, known: float) -> None:
    day = date(2026, 3, 16)
    assert progress(day, start_of_day(day) + hours * HOUR) == pytest.approx(known, abs=2e-3)


def test_numbers_change_in_steps_of_five_minutes() -> None:
    day = date(2026, 3, 16)
    assert progress(day, start_of_day(day) + 36_000) == progress(day, start_of_day(day) + 36_299)
    assert progress(day, start_of_day(day) + 36_299) < progress(day, start_of_day(day) + 36_300)


def test_a_day_without_numbers_yet_has_no_rows() -> None:
    day = date(2026, 3, 16)
    assert DATASET.result_set(day, now=start_of_day(day) + 29 * 60) == []
    assert DATASET.result_set(day, now=start_of_day(day) + 12 * HOUR)


@pytest.mark.parametrize("os", ["Windows", "macOS", "Linux"])
def test_desktop_systems_have_no_native_plays(os: str) -> None:
    day = date(2026, 3, 16)
    assert DATASET.result_set(day, Dimensions("Native", os), now=start_of_day(day) + 33 * HOUR) == []


def test_an_unknown_media_has_no_row() -> None:
    day = date(2026, 3, 16)
    assert DATASET.row("0" * 32, day, now=start_of_day(day) + 33 * HOUR) is None


def test_media_ids_are_unique_hexadecimal_and_as_many_as_configured() -> None:
    dataset = Dataset(media=500)
    assert len(set(dataset.media_ids)) == 500
    assert all(re.fullmatch("[0-9a-f]{32}", media_id) for media_id in dataset.media_ids)
    assert dataset.media_ids[:120] == Dataset(media=120).media_ids
    assert dataset.media_ids != Dataset(seed=1, media=500).media_ids


def test_the_example_of_the_help_page_exists() -> None:
    day = date(2026, 3, 16)
    row = DATASET.row(EXAMPLE_MEDIA_ID, day, now=start_of_day(day) + 33 * HOUR)
    assert row is not None
    assert (row.title, row.media_duration) == ("阿里云VOD视频标题", 246)


def test_titles_need_every_kind_of_escaping() -> None:
    day = date(2026, 3, 16)
    everything = [
        Dataset(media=40).row(id_, day, now=start_of_day(day) + 33 * HOUR) for id_ in Dataset(media=40).media_ids
    ]
    titles = "".join(row.title for row in everything if row and row.title)
    for delicate in ('"', "\\", "\n", "<", "🎬", "𠮷", "م", "ש"):
        assert delicate in titles


@pytest.mark.parametrize("media", [0, 1])
def test_an_account_may_be_nearly_empty(media: int) -> None:
    day = date(2026, 3, 16)
    dataset = Dataset(media=media, incidents=(collapse(0, day),))
    assert len(dataset.result_set(day, now=start_of_day(day) + 33 * HOUR)) == media


def _plays(dataset: Dataset, media_id: str, day: date, what: Dimensions | None = None) -> int:
    row = dataset.row(media_id, day, what or Dimensions(), now=start_of_day(day) + 33 * HOUR)
    return int(row.plays or 0) if row else 0


def test_weekends_have_more_plays_than_working_days() -> None:
    monday = date(2026, 3, 16)
    week = [_plays(DATASET, EXAMPLE_MEDIA_ID, monday + timedelta(days=n)) for n in range(7)]
    assert min(week[5:]) > max(week[:4])


@pytest.mark.parametrize("day", [date(2021, 2, 3), date(2026, 11, 22), date(2055, 6, 7)])
def test_on_any_date_some_media_are_new_some_fade_and_some_days_have_no_plays(day: date) -> None:
    dataset = Dataset()
    days = [day - timedelta(days=n) for n in range(30, -1, -1)]
    lines = [[_plays(dataset, id_, one) for one in days] for id_ in dataset.media_ids]
    new = [line for line in lines if not any(line[:3]) and line[-1]]
    fading = [line for line in lines if line[0] > 4 * line[-1] > 0]
    interrupted = [line for line in lines if any(not b and a and c for (a, b), (_, c) in pairwise(pairwise(line)))]
    assert new
    assert fading
    assert interrupted


def test_a_result_set_is_computed_once_for_all_its_pages() -> None:
    day = date(2026, 3, 16)
    now = start_of_day(day) + 33 * HOUR
    assert DATASET.result_set(day, now=now) is DATASET.result_set(day, now=now + HOUR)


def test_the_latest_result_sets_are_cached() -> None:
    dataset = Dataset(media=60, cached_rows=100)
    now = start_of_day(date(2026, 4, 1))
    first, second, third = (dataset.result_set(date(2026, 3, day), now=now) for day in (16, 17, 18))
    assert dataset.result_set(date(2026, 3, 18), now=now) is third
    again = dataset.result_set(date(2026, 3, 16), now=now)
    assert again == first
    assert again is not first
    assert second != first


def test_different_filters_select_different_plays() -> None:
    day = date(2026, 3, 16)
    now = start_of_day(day) + 33 * HOUR
    selections = [Dimensions(*each) for each in product([None, "Web"], [None, "iOS"], [None, "cn-beijing"])]
    assert len({sum(counts.plays for counts in DATASET.result_set(day, what, now=now)) for what in selections}) == 8
