from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.backfill import replay
from exporter.backfill.openmetrics import exposition, samples, size
from exporter.core import play_dates
from exporter.core.merge import merge_observation
from exporter.core.model import ByIds, Dimensions, Everything, PlayRow, Query, Slice, Snapshot
from exporter.core.observation import SliceObservation
from exporter.core.play_dates import Settlement
from exporter.core.publication import PublicationRules
from exporter.simulator.dataset import Dataset
from tests.exposition.examples import MEDIA, ROW, read_openmetrics

if TYPE_CHECKING:
    from exporter.backfill.replay import HistoricalView
    from exporter.core.model import Media

HOUR, DAY = 3600, 86_400
# 12:00 UTC+8 of 2024-03-24: the last instant that may be written is 09:00, when 2024-03-23 is first seen.
NOON = 1711252800.0
TODAY = date(2024, 3, 24)
SERIES = 'account="main",media_id="9ae2af636ca6c10412f44891fc000000",terminal_type="all",os="all",region="all"'
SLICE = 'account="main",terminal_type="all",os="all",region="all"'

# One media, two days, twelve hours: played 20 times on 2024-03-21, not at all on 2024-03-22.
TINY = f"""\
# HELP aliyun_vod_media_plays Number of plays of the media on the play date (PlaySuccessVv).
# TYPE aliyun_vod_media_plays gauge
aliyun_vod_media_plays{{{SERIES},days_ago="1"}} 20 1711069200
aliyun_vod_media_plays{{{SERIES},days_ago="1"}} 20 1711112400
aliyun_vod_media_plays{{{SERIES},days_ago="1"}} 0 1711155600
aliyun_vod_media_plays{{{SERIES},days_ago="1"}} 0 1711198800
aliyun_vod_media_plays{{{SERIES},days_ago="2"}} 20 1711155600
aliyun_vod_media_plays{{{SERIES},days_ago="2"}} 20 1711198800
# HELP aliyun_vod_media_viewers Number of unique viewers of the media on the play date (DAU).
# TYPE aliyun_vod_media_viewers gauge
aliyun_vod_media_viewers{{{SERIES},days_ago="1"}} 5 1711069200
aliyun_vod_media_viewers{{{SERIES},days_ago="1"}} 5 1711112400
aliyun_vod_media_viewers{{{SERIES},days_ago="1"}} 0 1711155600
aliyun_vod_media_viewers{{{SERIES},days_ago="1"}} 0 1711198800
aliyun_vod_media_viewers{{{SERIES},days_ago="2"}} 5 1711155600
aliyun_vod_media_viewers{{{SERIES},days_ago="2"}} 5 1711198800
# HELP aliyun_vod_media_plays_per_viewer Number of plays per viewer of the media on the play date (PlayPerVv).
# TYPE aliyun_vod_media_plays_per_viewer gauge
aliyun_vod_media_plays_per_viewer{{{SERIES},days_ago="1"}} 4 1711069200
aliyun_vod_media_plays_per_viewer{{{SERIES},days_ago="1"}} 4 1711112400
aliyun_vod_media_plays_per_viewer{{{SERIES},days_ago="2"}} 4 1711155600
aliyun_vod_media_plays_per_viewer{{{SERIES},days_ago="2"}} 4 1711198800
# HELP aliyun_vod_media_play_duration_seconds Total time the media was played on the play date, in seconds (PlayDuration).
# TYPE aliyun_vod_media_play_duration_seconds gauge
aliyun_vod_media_play_duration_seconds{{{SERIES},days_ago="1"}} 2400 1711069200
aliyun_vod_media_play_duration_seconds{{{SERIES},days_ago="1"}} 2400 1711112400
aliyun_vod_media_play_duration_seconds{{{SERIES},days_ago="1"}} 0 1711155600
aliyun_vod_media_play_duration_seconds{{{SERIES},days_ago="1"}} 0 1711198800
aliyun_vod_media_play_duration_seconds{{{SERIES},days_ago="2"}} 2400 1711155600
aliyun_vod_media_play_duration_seconds{{{SERIES},days_ago="2"}} 2400 1711198800
# HELP aliyun_vod_media_play_duration_per_viewer_seconds Time the media was played per viewer on the play date, in seconds (PlayDurationPerUv).
# TYPE aliyun_vod_media_play_duration_per_viewer_seconds gauge
aliyun_vod_media_play_duration_per_viewer_seconds{{{SERIES},days_ago="1"}} 120 1711069200
aliyun_vod_media_play_duration_per_viewer_seconds{{{SERIES},days_ago="1"}} 120 1711112400
aliyun_vod_media_play_duration_per_viewer_seconds{{{SERIES},days_ago="2"}} 120 1711155600
aliyun_vod_media_play_duration_per_viewer_seconds{{{SERIES},days_ago="2"}} 120 1711198800
# HELP aliyun_vod_media_duration_seconds Length of the media, in seconds (VideoDuration).
# TYPE aliyun_vod_media_duration_seconds gauge
aliyun_vod_media_duration_seconds{{account="main",media_id="9ae2af636ca6c10412f44891fc000000"}} 246 1711069200
aliyun_vod_media_duration_seconds{{account="main",media_id="9ae2af636ca6c10412f44891fc000000"}} 246 1711112400
aliyun_vod_media_duration_seconds{{account="main",media_id="9ae2af636ca6c10412f44891fc000000"}} 246 1711155600
aliyun_vod_media_duration_seconds{{account="main",media_id="9ae2af636ca6c10412f44891fc000000"}} 246 1711198800
# HELP aliyun_vod_media_info Always 1; the newest title of the media is in its label (VideoTitle).
# TYPE aliyun_vod_media_info gauge
aliyun_vod_media_info{{account="main",media_id="9ae2af636ca6c10412f44891fc000000",title="阿里云VOD视频标题"}} 1 1711069200
aliyun_vod_media_info{{account="main",media_id="9ae2af636ca6c10412f44891fc000000",title="阿里云VOD视频标题"}} 1 1711112400
aliyun_vod_media_info{{account="main",media_id="9ae2af636ca6c10412f44891fc000000",title="阿里云VOD视频标题"}} 1 1711155600
aliyun_vod_media_info{{account="main",media_id="9ae2af636ca6c10412f44891fc000000",title="阿里云VOD视频标题"}} 1 1711198800
# HELP aliyun_vod_slice_updated_timestamp_seconds Time of the last successful poll of the slice, in seconds since 1970.
# TYPE aliyun_vod_slice_updated_timestamp_seconds gauge
aliyun_vod_slice_updated_timestamp_seconds{{{SLICE},days_ago="1"}} 1711069200.0 1711069200
aliyun_vod_slice_updated_timestamp_seconds{{{SLICE},days_ago="1"}} 1711069200.0 1711112400
aliyun_vod_slice_updated_timestamp_seconds{{{SLICE},days_ago="1"}} 1711155600.0 1711155600
aliyun_vod_slice_updated_timestamp_seconds{{{SLICE},days_ago="1"}} 1711155600.0 1711198800
aliyun_vod_slice_updated_timestamp_seconds{{{SLICE},days_ago="2"}} 1711069200.0 1711155600
aliyun_vod_slice_updated_timestamp_seconds{{{SLICE},days_ago="2"}} 1711069200.0 1711198800
# HELP aliyun_vod_slice_settled Whether the slice is final and no longer polled: 1 or 0.
# TYPE aliyun_vod_slice_settled gauge
aliyun_vod_slice_settled{{{SLICE},days_ago="1"}} 1 1711069200
aliyun_vod_slice_settled{{{SLICE},days_ago="1"}} 1 1711112400
aliyun_vod_slice_settled{{{SLICE},days_ago="1"}} 1 1711155600
aliyun_vod_slice_settled{{{SLICE},days_ago="1"}} 1 1711198800
aliyun_vod_slice_settled{{{SLICE},days_ago="2"}} 1 1711155600
aliyun_vod_slice_settled{{{SLICE},days_ago="2"}} 1 1711198800
# HELP aliyun_vod_slice_ready Whether the service has computed the slice: 0 after Meter.ReadyTsError, else 1.
# TYPE aliyun_vod_slice_ready gauge
aliyun_vod_slice_ready{{{SLICE},days_ago="1"}} 1 1711069200
aliyun_vod_slice_ready{{{SLICE},days_ago="1"}} 1 1711112400
aliyun_vod_slice_ready{{{SLICE},days_ago="1"}} 1 1711155600
aliyun_vod_slice_ready{{{SLICE},days_ago="1"}} 1 1711198800
aliyun_vod_slice_ready{{{SLICE},days_ago="2"}} 1 1711155600
aliyun_vod_slice_ready{{{SLICE},days_ago="2"}} 1 1711198800
# HELP aliyun_vod_play_date_timestamp_seconds Start of the play date of this days_ago (00:00 UTC+8), in seconds since 1970.
# TYPE aliyun_vod_play_date_timestamp_seconds gauge
aliyun_vod_play_date_timestamp_seconds{{days_ago="1"}} 1710950400.0 1711069200
aliyun_vod_play_date_timestamp_seconds{{days_ago="1"}} 1710950400.0 1711112400
aliyun_vod_play_date_timestamp_seconds{{days_ago="1"}} 1711036800.0 1711155600
aliyun_vod_play_date_timestamp_seconds{{days_ago="1"}} 1711036800.0 1711198800
aliyun_vod_play_date_timestamp_seconds{{days_ago="2"}} 1710864000.0 1711069200
aliyun_vod_play_date_timestamp_seconds{{days_ago="2"}} 1710864000.0 1711112400
aliyun_vod_play_date_timestamp_seconds{{days_ago="2"}} 1710950400.0 1711155600
aliyun_vod_play_date_timestamp_seconds{{days_ago="2"}} 1710950400.0 1711198800
# EOF
"""  # noqa: E501  an exposition has the lines it has


def query(media: Media, *days_ago: int, dimensions: tuple[Dimensions, ...] = (Dimensions(),)) -> Query:
    (looking_back,) = replay.past_queries([Query("q", "main", 900.0, media, dimensions, days_ago)])
    return looking_back


def rules(*queries: Query, limit: int = 1_000_000) -> PublicationRules:
    return PublicationRules(queries, 2.0 * DAY, limit)


def text(views: tuple[HistoricalView, ...], **extra: str) -> str:
    return b"".join(piece.text for piece in exposition(views, extra)).decode()


def two_days(row: PlayRow = ROW) -> tuple[HistoricalView, ...]:
    """The row on 2024-03-21, none on 2024-03-22."""
    dates = date(2024, 3, 21), date(2024, 3, 22)
    rows = (row, None)
    known = [
        merge_observation(None, Slice("main", Dimensions(), day), SliceObservation(NOON, {MEDIA: row}), Settlement())
        for day, row in zip(dates, rows, strict=True)
    ]
    configured_query = query(ByIds(frozenset({MEDIA})), 0, 2)
    return replay.views(
        Snapshot().updated(known), rules(configured_query), Settlement(), dates, step=12 * HOUR, now=NOON
    )


def test_one_media_two_days_twelve_hours() -> None:
    assert text(two_days()) == TINY


def test_labels_of_the_operator_come_first_on_every_series_and_are_escaped() -> None:
    plain, labelled = text(two_days()).splitlines(), text(two_days(), job='a "b"\n').splitlines()

    assert labelled == [line if line.startswith("#") else line.replace("{", r'{job="a \"b\"\n",', 1) for line in plain]


def test_a_title_that_utf8_cannot_carry_is_legible() -> None:
    views = two_days(PlayRow(MEDIA, title="a \ud800 b", plays=1))

    assert 'title="a \N{REPLACEMENT CHARACTER} b"} 1 1711069200\n' in text(views)


def test_a_piece_is_no_more_than_one_series_on_one_day() -> None:
    pieces = list(exposition(two_days(), {}))

    assert max(piece.samples for piece in pieces) == 2
    assert sum(piece.samples for piece in pieces) == samples(two_days()) == TINY.count("\n") - TINY.count("#")


def test_the_size_is_about_right_before_anything_is_written() -> None:
    dates = replay.past_dates(NOON, 10, Settlement())
    known = [
        merge_observation(None, Slice("main", ALL, day), SliceObservation(NOON, {MEDIA: ROW}), Settlement())
        for day in dates
    ]
    views = replay.views(
        Snapshot().updated(known), rules(query(ByIds(frozenset({MEDIA})))), Settlement(), dates, step=600, now=NOON
    )

    assert size(views, {"job": "vod"}) == pytest.approx(len(text(views, job="vod")), rel=0.3)


def test_nothing_seen_is_nothing_but_the_end() -> None:
    assert text(()) == "# EOF\n"


ALL, NATIVE = Dimensions(), Dimensions(terminal_type="Native")
WINDOWS = st.lists(st.integers(0, 12), unique=True, max_size=3)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 12),
    step=st.sampled_from([5 * HOUR, 7 * HOUR + 60, 12 * HOUR, DAY]),
    windows=st.tuples(WINDOWS, WINDOWS),
    missing=st.sets(st.integers(1, 12), max_size=4),
    now=st.integers(0, DAY - 1).map(lambda second: NOON - DAY / 2 + second),
)
def test_every_sample_is_there_once_in_the_order_of_time_and_is_the_service_s_number_of_its_date(
    seed: int, count: int, step: int, windows: tuple[list[int], list[int]], missing: set[int], now: float
) -> None:
    catalogue = Dataset(seed, 3)
    ids, others = frozenset(catalogue.media_ids[:2]), Everything()
    queries = query(ByIds(ids), *windows[0]), query(others, *windows[1], dimensions=(ALL, NATIVE))
    dates = replay.past_dates(now, count, Settlement())
    known = [
        merge_observation(None, Slice("main", dimensions, day), listed(catalogue, day, dimensions, now), Settlement())
        for day in dates
        if play_dates.days_ago(now, day) not in missing
        for dimensions in (ALL, NATIVE)
    ]
    views = replay.views(Snapshot().updated(known), rules(*queries), Settlement(), dates, step=step, now=now)

    written = text(views)

    found = 0
    times: defaultdict[str, list[float]] = defaultdict(list)
    families = list(read_openmetrics(written.encode()))
    for family in families:
        for sample in family.samples:
            assert sample.timestamp is not None
            at = float(sample.timestamp)
            times[str((sample.name, sorted(sample.labels.items())))].append(at)
            assert at <= now - 3 * HOUR
            found += 1
            if sample.name == "aliyun_vod_media_plays":
                assert sample.value == expected_value(catalogue, sample.labels, at, now)
    for instants in times.values():
        assert instants == sorted(set(instants))
    # Families and series are contiguous.
    series = [line.rsplit(" ", 2)[0] for line in written.splitlines() if not line.startswith("#")]
    assert len(list(groupby(series))) == len(times)
    assert len({family.name for family in families}) == len(families)
    assert found == samples(views)
    seen_first = {t for key, instants in times.items() if "media_plays'" in key and "'1'" in key for t in instants}
    expected = {
        d for d in dates if play_dates.days_ago(now, d) not in missing and plays_of_anything(catalogue, d, now, ids)
    }
    assert {day_seen_first(at) for at in seen_first} == expected


def listed(catalogue: Dataset, day: date, dimensions: Dimensions, now: float) -> SliceObservation:
    rows = {counts.media.media_id: counts.row() for counts in catalogue.result_set(day, dimensions, now=now)}
    return SliceObservation(now, rows, listed=True, total=len(rows))


def day_seen_first(at: float) -> date:
    """The play date that is `days_ago="1"` at an instant: days turn at 09:00 UTC+8."""
    return play_dates.today(at - 9 * HOUR) - timedelta(days=1)


def expected_value(catalogue: Dataset, labels: dict[str, Any], at: float, now: float) -> float:
    day = day_seen_first(at) - timedelta(days=int(labels["days_ago"]) - 1)
    terminal_type = None if labels["terminal_type"] == "all" else labels["terminal_type"]
    counts = catalogue.counts(labels["media_id"], day, Dimensions(terminal_type), now=now)
    return counts.plays if counts else 0


def plays_of_anything(catalogue: Dataset, day: date, now: float, ids: frozenset[str]) -> bool:
    """Media requested by ID are present even as zeros."""
    return bool(ids) or bool(catalogue.result_set(day, now=now))


@pytest.mark.parametrize("limit", [6, 7])
def test_series_limit_counts_what_there_was_at_one_instant(limit: int) -> None:
    slice_ = Slice("main", Dimensions(), TODAY - timedelta(days=2))
    known = merge_observation(None, slice_, SliceObservation(NOON, {MEDIA: ROW}), Settlement())
    configured_query = rules(query(ByIds(frozenset({MEDIA})), 1), limit=limit)

    views = replay.views(
        Snapshot().updated([known]), configured_query, Settlement(), [slice_.play_date], step=DAY, now=NOON
    )

    assert ("aliyun_vod_media_plays{" in text(views)) == (limit == 7)
