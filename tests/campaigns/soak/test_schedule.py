"""The schedule of a soak depends on its seed only, leaves evenings calm, and repeats no false response."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest

from exporter.core import play_dates
from exporter.simulator.broken_responses import BROKEN_RESPONSES
from exporter.simulator.error_responses import API_ERRORS
from tests.campaigns.soak.schedule import (
    CALM_HOUR,
    HOUR,
    LIES,
    End,
    InvalidReload,
    Reload,
    Rotation,
    ServiceConditions,
    schedule,
)

START = datetime.fromisoformat("2024-02-01T00:00:00+08:00").timestamp()
SEEDS = range(20)


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedule(1, START, 10) == schedule(1, START, 10) != schedule(2, START, 10)


@pytest.mark.parametrize("seed", SEEDS)
def test_evenings_and_the_first_hours_are_calm(seed: int) -> None:
    for event in schedule(seed, START, 10):
        last = event.until if isinstance(event, ServiceConditions | InvalidReload) else event.at
        if isinstance(event, Rotation):
            last += max(event.id_after, event.secret_after)
        assert last - play_dates.start(play_dates.today(event.at)) <= CALM_HOUR * HOUR
        assert event.at >= START + 6 * HOUR


@pytest.mark.parametrize("seed", SEEDS)
def test_a_false_response_occurs_once_for_a_day_that_can_be_final(seed: int) -> None:
    for event in schedule(seed, START, 30):
        for fault in event.conditions.get("faults", ()) if isinstance(event, ServiceConditions) else ():
            if fault.code in LIES and fault.times != 1:
                assert fault.when == {"PlayDate": f"{play_dates.today(event.at):%Y%m%d}"}


@pytest.mark.parametrize("seed", SEEDS)
def test_periods_follow_each_other(seed: int) -> None:
    periods = [event for event in schedule(seed, START, 30) if isinstance(event, ServiceConditions)]
    assert all(period.until <= after.at for period, after in pairwise(periods))


def test_every_event_occurs_and_one_process_runs_long() -> None:
    events = schedule(1, START, 90)
    kinds = Counter(type(event) for event in events)
    assert all(kinds[kind] > 20 for kind in (ServiceConditions, Reload, InvalidReload, Rotation, End))
    assert {event.how for event in events if isinstance(event, End)} == {"idle", "asking", "published", "stopped"}
    ends = [START, *(event.at for event in events if isinstance(event, End))]
    assert max(after - at for at, after in pairwise(ends)) >= 30 * 24 * HOUR


def test_every_kind_of_failure_occurs() -> None:
    weather = [event for seed in SEEDS for event in schedule(seed, START, 90) if isinstance(event, ServiceConditions)]
    met = {fault.code for event in weather for fault in event.conditions.get("faults", ())}
    assert met == API_ERRORS.keys() | BROKEN_RESPONSES.keys()
