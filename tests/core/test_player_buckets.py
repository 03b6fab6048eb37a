"""Buckets of player metrics, against a service with any lag, growth and form of rows that is not documented."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.player_buckets import CallHistory, Range, Reading, TargetHistory
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
    return TargetHistory(interval, (CallHistory(FIELDS),))


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

    def answer(self, asked: Range, now: float) -> Reading:
        """What it returns at its own time `now`."""
        rows: dict[int, tuple[float | None, ...]] = {}
        with_data = []
        for start in range(-(-asked.start // FIVE_MINUTES) * FIVE_MINUTES, asked.end, FIVE_MINUTES):
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
        return Reading(asked, now, rows, max(with_data, default=None) if self.says_until else None)


def poll(history: TargetHistory, service: Service, true_now: float, our_now: float) -> TargetHistory:
    history = history.recorded([(0, service.answer(history.recent(our_now), true_now))])
    earlier = history.earlier(0, COMPARE, our_now)
    history = history.recorded((0, service.answer(asked, true_now)) for asked in earlier)
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
        asked = history.recent(at)
        first = Reading(asked, at, {start: (plays,), start + 300: (1.0,)})
        history = history.recorded([(0, first), (1, Reading(asked, at, {start: (plays / 10,)}))])
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
        asked = history.recent(at)
        rows = dict.fromkeys(range(asked.start, asked.end, 300), (0.0, 0.0))
        history = history.recorded([(0, Reading(asked, at, rows, asked.end))])
    assert history.newest is None
    assert history.published((), NOON + 600) is None


def test_rows_off_the_grid_or_outside_the_range_or_cut_off_are_not_read() -> None:
    history = new_history()
    asked = history.recent(NOON)
    rows = dict.fromkeys((asked.start, asked.end, asked.start - 300, NOON - 299, asked.end - 100), (5.0, 1.0))
    assert history.recorded([(0, Reading(asked, 0, rows))]).calls[0].seen == {}


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
    requested: list[tuple[float, Range]] = []
    compare = (ago_days * DAY,)
    for at in range(NOON, NOON + 2 * DAY, 3_600):
        ranges = [history.recent(at)]
        for step in range(2):
            readings = []
            for asked in ranges:
                requested += [(at, asked)] if step else []
                assert asked.end - asked.start <= longest
                starts = range(-(-asked.start // buckets.seconds) * buckets.seconds, asked.end, buckets.seconds)
                rows = {start: (float(start % 97 + 1), 1.0) for start in starts if start < at - buckets.seconds}
                readings.append((0, Reading(asked, at, rows)))
            history = history.recorded(readings)
            ranges = list(history.earlier(0, compare, at))
        history = history.pruned(compare, at)
        published = history.published(compare, at)
        if at > NOON:
            assert published is not None
            earlier = published.values[compare[0]]["plays"]
            assert earlier == (published.start - compare[0]) % 97 + 1
    assert all(asked.end <= at for at, asked in requested)
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
