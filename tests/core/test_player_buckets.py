"""Buckets of player metrics, against a service with any lag, growth and form of rows that is not documented."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.player_buckets import CallHistory, Reading, TargetHistory, TimeRange
from exporter.core.player_fields import BY_NAME, MOST_PER_CALL, PLAYER_FIELDS, calls
from exporter.core.player_intervals import INTERVALS, Interval

FIVE_MINUTES = 300
HOUR = 3_600
DAY = 86_400
NOON = 20_784 * DAY + 12 * HOUR
COMPARE = (DAY, 7 * DAY)
FIELDS = (BY_NAME["plays"], BY_NAME["first_frame_seconds"])


# As "5m", with short ranges, for tests with many polls.
SHORT = Interval(FIVE_MINUTES, window=2 * HOUR, chunk=HOUR, margin=1_200)


def new_history(interval: Interval = INTERVALS["5m"]) -> TargetHistory:
    return TargetHistory.empty(interval, [FIELDS])


@dataclass
class Service:
    """A service that computes buckets `lag` seconds after they end; `growth` is what a bucket has after so many."""

    lag: int = 0
    growth: tuple[tuple[int, float], ...] = ((0, 1.0),)
    without_data: str = "no row"
    missing: frozenset[int] = frozenset()
    says_until: bool = False
    plays: dict[int, int] = field(default_factory=dict)

    def value(self, start: int, now: float) -> int | None:
        """The plays that the service has of a bucket at its own time; None: nothing yet."""
        seen_until = min(start + FIVE_MINUTES, now - self.lag)
        if seen_until <= start:
            return None
        whole = self.plays.get(start, 60)
        part = (seen_until - start) / FIVE_MINUTES
        grown = max((share for after, share in self.growth if now - start >= after), default=0.0)
        return int(whole * part * grown)

    def answer(self, span: TimeRange, now: float) -> Reading:
        """What it returns at its own time `now`."""
        rows: dict[int, tuple[float | None, ...]] = {}
        with_data = []
        for start in range(-(-span.start // FIVE_MINUTES) * FIVE_MINUTES, span.end, FIVE_MINUTES):
            value = None if start in self.missing else self.value(start, now)
            if value is not None:
                rows[start] = (value, 0.8 if value else 0.0)
                with_data.append(start)
            elif start in self.missing:
                pass
            elif self.without_data == "zeros":
                rows[start] = (0, 0.0)
            elif self.without_data == "nulls":
                rows[start] = (None, None)
        return Reading(span, now, rows, max(with_data, default=None) if self.says_until else None)


def poll(history: TargetHistory, service: Service, true_now: float, our_now: float) -> TargetHistory:
    history = history.recorded([(0, service.answer(history.recent(our_now), true_now))])
    earlier = history.earlier(0, COMPARE, our_now)
    history = history.recorded((0, service.answer(span, true_now)) for span in earlier)
    return history.pruned(COMPARE, our_now)


def polled(service: Service, *, polls: int, start: float = NOON, every: float = FIVE_MINUTES) -> TargetHistory:
    history = new_history()
    for number in range(polls):
        history = poll(history, service, start + number * every, start + number * every)
    return history


services = st.builds(
    Service,
    lag=st.sampled_from([0, 60, 600, 1_500]),
    growth=st.sampled_from([((0, 1.0),), ((0, 0.5), (900, 1.0)), ((0, 0.2), (400, 0.6), (2_000, 1.0))]),
    without_data=st.sampled_from(["no row", "zeros", "nulls"]),
    missing=st.frozensets(st.integers(-40, 10).map(lambda n: NOON + n * FIVE_MINUTES), max_size=8),
    says_until=st.booleans(),
    plays=st.dictionaries(
        st.integers(-40, 10).map(lambda n: NOON + n * FIVE_MINUTES), st.integers(0, 500), max_size=20
    ),
)
steps = st.lists(
    st.tuples(
        st.sampled_from([40, 170, 300, 301, 900, 4_000]),  # until the next poll
        st.sampled_from(
            [0, 0, 0, 0, 240, 600, 3 * HOUR, 9 * DAY, -240, -600, -3 * HOUR, -9 * DAY]
        ),  # our clock's error
        st.sampled_from([False] * 9 + [True]),  # a restart before it
    ),
    min_size=1,
    max_size=14,
)


@given(service=services, steps=steps)
def test_no_number_is_published_in_a_wrong_bucket_or_before_the_bucket_is_over(
    service: Service, steps: list[tuple[int, int, bool]]
) -> None:
    history, true_now = new_history(SHORT), float(NOON)
    polls: list[float] = []
    for wait, error, restarts in steps:
        true_now += wait
        if restarts:
            history, polls = new_history(SHORT), []
        polls.append(true_now)
        history = poll(history, service, true_now, true_now + error)
        published = history.published(COMPARE, true_now)
        if published is None:
            continue
        for ago, values in published.values.items():
            start = published.start - ago
            if not values:
                continue
            assert start + FIVE_MINUTES <= true_now, "published before it was over"
            assert start not in service.missing
            read = [service.value(start, at) for at in polls]
            same = [at for at, value in zip(polls, read, strict=True) if value == values["plays"]]
            assert len(same) >= 2, f"{values['plays']} was not read twice, the service had {read}"
            assert same[-1] - same[0] >= 30
            assert same[-1] >= start + FIVE_MINUTES
            assert ("first_frame_seconds" in values) == (values["plays"] > 0)


@given(service=services)
def test_what_has_stopped_growing_is_published_as_it_is_and_the_bucket_advances(service: Service) -> None:
    history, true_now = new_history(SHORT), float(NOON)
    for _ in range(16):
        true_now += FIVE_MINUTES
        history = poll(history, service, true_now, true_now)
    published = history.published(COMPARE, true_now)
    assert published is not None
    for ago, values in published.values.items():
        start = published.start - ago
        if start in service.missing:
            assert values == {}
        else:
            assert values["plays"] in {service.value(start, true_now), service.value(start, true_now - FIVE_MINUTES)}
    with_data = [
        start
        for start in range(NOON - HOUR, int(true_now), FIVE_MINUTES)
        if start not in service.missing and service.value(start, true_now - FIVE_MINUTES)
    ]
    # The newest has data of none after it; growth takes the rest.
    grown = max(after for after, _ in service.growth)
    assert published.start >= max(start for start in with_data[:-1] if start + grown + FIVE_MINUTES <= true_now - 300)


def test_a_bucket_is_published_at_the_second_poll_that_reads_it() -> None:
    service = Service()
    first = poll(new_history(), service, NOON + 10, NOON + 10)
    assert first.published(COMPARE, NOON + 10) is None
    second = poll(first, service, NOON + 310, NOON + 310)
    published = second.published(COMPARE, NOON + 310)
    assert published is not None
    assert published.start == NOON - FIVE_MINUTES
    assert {ago: values["plays"] for ago, values in published.values.items()} == {0: 60, DAY: 60, 7 * DAY: 60}


def test_two_polls_within_seconds_confirm_nothing() -> None:
    service = Service()
    history = poll(poll(new_history(), service, NOON, NOON), service, NOON + 20, NOON + 20)
    assert history.published(COMPARE, NOON + 20) is None


def test_the_number_from_before_is_shown_until_the_new_one_is_confirmed_and_then_counts_as_a_revision() -> None:
    service = Service(growth=((0, 0.5), (1_200, 1.0)), missing=frozenset(NOON + n * 300 for n in range(1, 9)))
    shown = []
    history = new_history()
    for at in range(NOON + 300, NOON + 3_000, 300):
        service.missing -= {at - 600} if at > NOON + 1_800 else set()
        history = poll(history, service, at, at)
        confirmed = history.calls[0].confirmed.get(NOON - 300)
        shown.append((confirmed[0] if confirmed else None, history.revisions))
    assert shown[0] == (None, 0)
    assert (30, 0) in shown
    assert shown[-1][0] == 60
    assert shown[-1][1] >= 1
    assert [revisions for _, revisions in shown] == sorted(revisions for _, revisions in shown)


def test_a_bucket_that_changes_in_several_calls_is_one_revision() -> None:
    history = TargetHistory(INTERVALS["5m"], (CallHistory(FIELDS[:1]), CallHistory(FIELDS[1:])))
    start = NOON - 600
    for at, plays in ((NOON, 5.0), (NOON + 300, 5.0), (NOON + 600, 6.0), (NOON + 900, 6.0)):
        span = history.recent(at)
        first = Reading(span, at, {start: (plays,), start + 300: (1.0,)})
        history = history.recorded([(0, first), (1, Reading(span, at, {start: (plays / 10,)}))])
    assert history.calls[1].confirmed[start] == (0.6,)
    assert history.revisions == 1


def test_a_row_that_is_gone_again_takes_no_number_away() -> None:
    service = Service()
    history = polled(service, polls=3)
    before = history.published(COMPARE, NOON + 600)
    service.missing = frozenset(range(NOON - DAY, NOON + HOUR, FIVE_MINUTES))
    after = poll(history, service, NOON + 900, NOON + 900)
    assert after.published(COMPARE, NOON + 900) == before
    assert after.revisions == 0


@pytest.mark.parametrize("says_until", [False, True])
def test_rows_of_zeros_that_the_service_has_not_computed_yet_are_no_data(*, says_until: bool) -> None:
    service = Service(lag=6 * HOUR, without_data="zeros", says_until=says_until)
    history = polled(service, polls=3)
    published = history.published(COMPARE, NOON + 600)
    assert published is not None
    assert published.values[0]["plays"] == 60
    assert history.lag(NOON + 600) == pytest.approx(6 * HOUR, abs=FIVE_MINUTES)


def test_zeros_between_buckets_with_plays_are_zeros() -> None:
    service = Service(plays={NOON - 300: 0})
    history = polled(service, polls=2, start=NOON + 310)
    assert history.calls[0].confirmed[NOON - 300] == (0, 0.0)


def test_zeros_up_to_where_the_service_says_it_has_data_are_zeros() -> None:
    plays = {NOON + n * 300: 0 for n in range(-3, 3)}
    history = polled(Service(plays=plays, says_until=True), polls=3, start=NOON + 10)
    published = history.published((), NOON + 610)
    assert published is not None
    assert published.start == NOON
    assert published.values == {0: {"plays": 0}}
    without = polled(Service(plays=plays), polls=3, start=NOON + 10).published((), NOON + 610)
    assert without is not None
    assert without.start < NOON - 900


def test_the_end_of_the_range_is_no_statement_about_data() -> None:
    history = new_history()
    for at in (NOON, NOON + 300, NOON + 600):
        span = history.recent(at)
        rows = dict.fromkeys(range(span.start, span.end, 300), (0.0, 0.0))
        history = history.recorded([(0, Reading(span, at, rows, span.end))])
    assert history.newest is None
    assert history.published((), NOON + 600) is None


def test_rows_off_the_grid_or_outside_the_range_or_cut_off_are_not_read() -> None:
    history = new_history()
    span = history.recent(NOON)
    rows = dict.fromkeys((span.start, span.end, span.start - 300, NOON - 299, span.end - 100), (5.0, 1.0))
    assert history.recorded([(0, Reading(span, 0, rows))]).calls[0].seen == {}


def test_nothing_older_than_what_is_read_is_published() -> None:
    history = polled(Service(), polls=3)
    assert history.published(COMPARE, NOON + DAY) is not None
    assert history.published(COMPARE, NOON + DAY + HOUR) is None


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("ago_days", [1, 7, 31])
def test_ranges_are_allowed_and_earlier_ones_are_read_twice_and_no_more(interval: str, ago_days: int) -> None:
    buckets = INTERVALS[interval]
    longest = {"5m": 3, "1h": 7, "1d": 31}[interval] * DAY
    history = new_history(buckets)
    requested: list[tuple[float, TimeRange]] = []
    compare = (ago_days * DAY,)
    for at in range(NOON, NOON + 2 * DAY, 3_600):
        ranges = [history.recent(at)]
        for step in range(2):
            readings = []
            for span in ranges:
                requested += [(at, span)] if step else []
                assert span.end - span.start <= longest
                starts = range(-(-span.start // buckets.seconds) * buckets.seconds, span.end, buckets.seconds)
                rows = {start: (float(start % 97 + 1), 1.0) for start in starts if start < at - buckets.seconds}
                readings.append((0, Reading(span, at, rows)))
            history = history.recorded(readings)
            ranges = list(history.earlier(0, compare, at))
        history = history.pruned(compare, at)
        published = history.published(compare, at)
        if at > NOON:
            assert published is not None
            earlier = published.values[compare[0]]["plays"]
            assert earlier == (published.start - compare[0]) % 97 + 1
    assert all(span.end <= at for at, span in requested)
    # Days in chunks, each read twice, and what is needed at the start.
    assert len(requested) <= 2 * (2 + 2 * DAY // buckets.chunk)


def test_a_clock_that_is_ahead_for_a_while_loses_nothing() -> None:
    service = Service()
    history = polled(service, polls=3)
    away = poll(history, service, NOON + 900, NOON + 900 + 400 * DAY)
    back = poll(away, service, NOON + 1_200, NOON + 1_200)
    published = back.published(COMPARE, NOON + 1_200)
    assert published is not None
    assert set(map(len, published.values.values())) == {2}


def test_the_history_does_not_grow() -> None:
    service, history = Service(), new_history()
    sizes = []
    for at in range(NOON, NOON + 3 * DAY, HOUR):
        history = poll(history, service, at, at)
        sizes.append(len(history.calls[0].seen))
    assert max(sizes) < 5 * DAY // FIVE_MINUTES


def test_calls_hold_at_most_three_metrics_and_per_viewer_ones_are_alone() -> None:
    every = calls(field.name for field in PLAYER_FIELDS)
    assert every[0][0].name == "plays"
    assert all(len(call) <= MOST_PER_CALL for call in every)
    assert all(len({field.per_viewer for field in call}) == 1 for call in every)
    assert sorted(field.name for call in every for field in call) == sorted(field.name for field in PLAYER_FIELDS)
    assert [[field.wire_name for field in call] for call in calls(["viewers"])] == [["Vv"], ["Uv"]]


def two_calls(interval: Interval = INTERVALS["5m"]) -> TargetHistory:
    counts = (BY_NAME["plays"], BY_NAME["started_plays"])
    return TargetHistory(interval, (CallHistory(counts), CallHistory(FIELDS[1:])))


def test_a_bucket_that_only_one_call_has_confirmed_lacks_the_metrics_of_the_other() -> None:
    history = two_calls()
    for at in (NOON, NOON + 300):
        span = history.recent(at)
        rows = {NOON - 900: (60.0, 50.0), NOON - 600: (61.0, 51.0)}
        history = history.recorded([(0, Reading(span, at, rows)), (1, Reading(span, NOON, {NOON - 900: (0.8,)}))])
    published = history.published((), NOON + 300)
    assert published is not None
    assert published.values == {0: {"plays": 60.0, "started_plays": 50.0}}


@pytest.mark.parametrize(("plays", "started", "names"), [(0.0, 5.0, 2), (5.0, 0.0, 3)])
def test_plays_alone_tell_whether_an_average_means_something(plays: float, started: float, names: int) -> None:
    history = two_calls()
    for at in (NOON, NOON + 300):
        span = history.recent(at)
        rows = {NOON - 900: (plays, started), NOON - 600: (61.0, 51.0)}
        history = history.recorded([(0, Reading(span, at, rows)), (1, Reading(span, at, {NOON - 900: (0.8,)}))])
    published = history.published((), NOON + 300)
    assert published is not None
    assert len(published.values[0]) == names


def test_a_bucket_is_published_until_it_ended_a_whole_window_ago() -> None:
    history = polled(Service(), polls=2)
    published = history.published((), NOON + 300)
    assert published is not None
    end = published.start + FIVE_MINUTES
    assert history.published((), end + DAY) == published
    assert history.published((), end + DAY + 1) is None


def test_before_there_is_data_nothing_is_late_or_needed() -> None:
    history = new_history()
    assert history.lag(NOON) is None
    assert history.earlier(0, COMPARE, NOON) == ()
    assert history.published(COMPARE, NOON) is None


def with_newest(at: int, interval: Interval = SHORT) -> TargetHistory:
    """A history whose newest bucket with data is known, and nothing else."""
    return TargetHistory(interval, (CallHistory(FIELDS),), newest=at)


def test_chunks_next_to_each_other_are_one_range_and_others_are_not() -> None:
    # 20 minutes before and after the bucket: two hours' chunks if an hour begins in between, else one.
    hour = NOON - DAY
    (one,) = with_newest(NOON + 1_800).earlier(0, (DAY,), NOON + 2_400)
    assert one == TimeRange(hour - 300, hour + HOUR + 300)
    (two,) = with_newest(NOON).earlier(0, (DAY,), NOON + 600)
    assert two == TimeRange(hour - HOUR - 300, hour + HOUR + 300)
    apart = with_newest(NOON + 1_800).earlier(0, COMPARE, NOON + 2_400)
    assert apart == (TimeRange(one.start - 6 * DAY, one.end - 6 * DAY), one)


def test_a_chunk_is_read_before_its_first_bucket_is_needed() -> None:
    hour = NOON - DAY
    assert with_newest(NOON - 1_200).earlier(0, (DAY,), NOON)[-1].end == hour + HOUR + 300
    assert with_newest(NOON - 1_500).earlier(0, (DAY,), NOON)[-1].end == hour + 300


def read_chunk(history: TargetHistory, at: float, rows: dict[int, float]) -> TargetHistory:
    (span,) = history.earlier(0, (DAY,), NOON + 2_400)
    return history.recorded([(0, Reading(span, at, {start: (plays, 0.8) for start, plays in rows.items()}))])


@pytest.mark.parametrize(("offset", "reads"), [(0, 3), (HOUR - 300, 3), (-300, 2), (HOUR, 2)])
def test_a_chunk_is_read_until_all_of_its_buckets_are_confirmed(offset: int, reads: int) -> None:
    history, start = with_newest(NOON + 1_800), NOON - DAY
    for number in range(6):
        if not history.earlier(0, (DAY,), NOON + 2_400):
            break
        # One bucket, of this chunk or beside it, has other plays at the second read.
        plays = dict.fromkeys(range(start, start + HOUR, 300), 60.0) | {start + offset: 60.0 if not number else 61.0}
        history = read_chunk(history, NOON + 300 * number, plays)
    assert number == reads


def test_a_chunk_that_changes_with_every_read_is_read_six_times() -> None:
    history = with_newest(NOON + 1_800)
    for number in range(6):
        history = read_chunk(history, NOON + 300 * number, {NOON - DAY: 60.0 + number})
    assert history.earlier(0, (DAY,), NOON + 2_400) == ()


def test_zeros_after_all_data_are_no_first_look_at_a_bucket() -> None:
    history, shown = new_history(), []
    late = NOON - 600  # computed after the bucket that follows it
    for poll_number, (plays, following) in enumerate([(0.0, 0.0), (0.0, 70.0), (65.0, 70.0), (65.0, 70.0)]):
        at = NOON + 300 * poll_number
        rows = {NOON - 900: (60.0, 0.8), late: (plays, 0.8 if plays else 0.0), late + 300: (following, 0.8)}
        history = history.recorded([(0, Reading(history.recent(at), at, rows))])
        shown.append(history.calls[0].confirmed.get(late))
    assert shown == [None, None, None, (65.0, 0.8)]
    assert history.revisions == 0


def recorded(history: TargetHistory, *reads: tuple[float, dict[int, float]]) -> TargetHistory:
    """Reads of plays, each at its time; the range is that of `recent`."""
    for at, rows in reads:
        values = {start: (plays, 0.8 if plays else 0.0) for start, plays in rows.items()}
        history = history.recorded([(0, Reading(history.recent(NOON), at, values))])
    return history


def test_rows_may_come_in_any_order() -> None:
    rows = {NOON - 900: 5.0, NOON - 600: 6.0, NOON - 300: 0.0}
    ordered, backwards = (
        recorded(new_history(), (NOON, given), (NOON + 60, given)) for given in (rows, dict(reversed(rows.items())))
    )
    assert list(ordered.calls[0].confirmed) == [NOON - 900]
    assert backwards == ordered


def test_a_bucket_of_a_day_begins_at_midnight_in_utc_or_in_utc_plus_8() -> None:
    today = NOON // DAY * DAY
    starts = {today + hours * HOUR for hours in range(-72, 0)}
    history = recorded(new_history(INTERVALS["1d"]), (NOON, dict.fromkeys(starts, 5.0)))
    assert sorted(history.calls[0].seen) == [
        today + days * DAY + hours * HOUR for days in (-3, -2) for hours in (0, 16)
    ] + [today - DAY]
    hourly = recorded(new_history(INTERVALS["1h"]), (NOON, {NOON - 2 * HOUR: 5.0, NOON - 2 * HOUR + 300: 6.0}))
    assert list(hourly.calls[0].seen) == [NOON - 2 * HOUR]


def test_the_newest_bucket_with_data_is_not_confirmed() -> None:
    twice = recorded(new_history(), (NOON, {NOON - 600: 5.0}), (NOON + 300, {NOON - 600: 5.0}))
    assert twice.calls[0].confirmed == {}
    assert twice.newest == NOON - 600


@pytest.mark.parametrize(("apart", "confirmed"), [(29, 0), (30, 1)])
def test_two_looks_are_half_a_minute_apart(apart: int, confirmed: int) -> None:
    rows = {NOON - 600: 5.0, NOON - 300: 6.0}
    assert len(recorded(new_history(), (NOON, rows), (NOON + apart, rows)).calls[0].confirmed) == confirmed


def test_each_bucket_that_changes_is_a_revision() -> None:
    before, after = ({NOON - 900: n, NOON - 600: n, NOON - 300: 9.0} for n in (5.0, 6.0))
    history = recorded(new_history(), *((NOON + 60 * n, rows) for n, rows in enumerate((before, before, after, after))))
    assert history.revisions == 2


@pytest.mark.parametrize(("before", "after", "reads"), [(300, 300, 1), (0, 300, 0), (300, 0, 0)])
def test_a_chunk_whose_first_or_last_bucket_may_be_cut_off_was_not_read(before: int, after: int, reads: int) -> None:
    start = NOON - DAY
    span = TimeRange(start - before, start + SHORT.chunk + after)
    history = with_newest(NOON).recorded([(0, Reading(span, NOON, {}))])
    assert [(at, each.times) for at, each in history.calls[0].chunks.items()] == [(start, 1)] * reads


@pytest.mark.parametrize(("apart", "times"), [(29, 1), (30, 2)])
def test_two_reads_of_a_chunk_are_half_a_minute_apart(apart: int, times: int) -> None:
    span = TimeRange(NOON - DAY - 300, NOON - DAY + SHORT.chunk + 300)
    history = with_newest(NOON).recorded((0, Reading(span, at, {})) for at in (NOON, NOON + apart))
    assert [each.times for each in history.calls[0].chunks.values()] == [times]


def test_what_is_read_again_and_two_chunks_before_are_kept() -> None:
    oldest = SHORT.window // FIVE_MINUTES
    kept = NOON - SHORT.window - FIVE_MINUTES - 2 * SHORT.chunk
    rows = dict.fromkeys(range(kept - 3 * FIVE_MINUTES, NOON - 600, FIVE_MINUTES), 5.0)
    span = TimeRange(kept - DAY, NOON)
    history = with_newest(NOON - 900).recorded(
        (0, Reading(span, at, {start: (plays, 0.8) for start, plays in rows.items()})) for at in (NOON, NOON + 60)
    )
    pruned = history.pruned((), NOON).calls[0]
    assert min(pruned.seen) == min(pruned.confirmed) == kept
    assert min(pruned.chunks) >= kept
    assert oldest < len(pruned.seen) < len(history.calls[0].seen)
