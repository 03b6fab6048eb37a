"""What happens in a soak is a matter of its seed, leaves evenings calm, and tells no lie so often that it is true."""

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
    Breakage,
    End,
    Reload,
    Rotation,
    Weather,
    course,
)

START = datetime.fromisoformat("2024-02-01T00:00:00+08:00").timestamp()
SEEDS = range(20)


def test_a_seed_is_a_course() -> None:
    assert course(1, START, 10) == course(1, START, 10) != course(2, START, 10)


@pytest.mark.parametrize("seed", SEEDS)
def test_evenings_are_calm_and_the_first_hours(seed: int) -> None:
    for event in course(seed, START, 10):
        last = event.until if isinstance(event, Weather | Breakage) else event.at
        if isinstance(event, Rotation):
            last += max(event.id_after, event.secret_after)
        assert last - play_dates.start(play_dates.today(event.at)) <= CALM_HOUR * HOUR
        assert event.at >= START + 6 * HOUR


@pytest.mark.parametrize("seed", SEEDS)
def test_of_a_day_that_can_be_final_a_lie_is_told_once(seed: int) -> None:
    for event in course(seed, START, 30):
        for fault in event.conditions.get("faults", ()) if isinstance(event, Weather) else ():
            if fault.code in LIES and fault.times != 1:
                assert fault.when == {"PlayDate": f"{play_dates.today(event.at):%Y%m%d}"}


@pytest.mark.parametrize("seed", SEEDS)
def test_spells_follow_each_other(seed: int) -> None:
    spells = [event for event in course(seed, START, 30) if isinstance(event, Weather)]
    assert all(spell.until <= after.at for spell, after in pairwise(spells))


def test_everything_happens_and_one_life_is_long() -> None:
    events = course(1, START, 90)
    kinds = Counter(type(event) for event in events)
    assert all(kinds[kind] > 20 for kind in (Weather, Reload, Breakage, Rotation, End))
    assert {event.how for event in events if isinstance(event, End)} == {"idle", "asking", "published", "told"}
    ends = [START, *(event.at for event in events if isinstance(event, End))]
    assert max(after - at for at, after in pairwise(ends)) >= 30 * 24 * HOUR


def test_every_way_to_fail_comes_up() -> None:
    weather = [event for seed in SEEDS for event in course(seed, START, 90) if isinstance(event, Weather)]
    met = {fault.code for event in weather for fault in event.conditions.get("faults", ())}
    assert met == API_ERRORS.keys() | BROKEN_RESPONSES.keys()
