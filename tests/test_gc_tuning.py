from __future__ import annotations

import gc
import sys
import weakref
from typing import TYPE_CHECKING

import pytest

from exporter.gc_tuning import (
    FULL_GC_THRESHOLD,
    MAX_FROZEN_SECONDS,
    SLOW_GC_SECONDS,
    SWITCH_INTERVAL_SECONDS,
    FreezeAfterSlowGc,
    tune_interpreter,
)

if TYPE_CHECKING:
    from collections.abc import Generator

FULL = 2


class Node:
    itself: Node


@pytest.fixture(autouse=True)
def nothing_frozen() -> Generator[None]:
    """Unfreeze everything after each test."""
    yield
    gc.unfreeze()


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at

    def collection(self, callback: FreezeAfterSlowGc, seconds: float, generation: int = FULL) -> None:
        """A collection of this duration."""
        info = {"generation": generation, "collected": 0, "uncollectable": 0}
        callback("start", info)
        self.at += seconds
        callback("stop", info)


@pytest.mark.parametrize(
    ("seconds", "generation", "frozen"),
    [(2 * SLOW_GC_SECONDS, FULL, True), (SLOW_GC_SECONDS / 2, FULL, False), (1.0, 1, False), (1.0, 0, False)],
)
def test_objects_that_survive_a_slow_full_collection_are_frozen(
    seconds: float, generation: int, *, frozen: bool
) -> None:
    clock = Clock()

    clock.collection(FreezeAfterSlowGc(clock), seconds, generation)

    assert (gc.get_freeze_count() > 0) is frozen


@pytest.mark.parametrize("seconds", [2 * SLOW_GC_SECONDS, SLOW_GC_SECONDS / 2])
def test_once_a_day_all_objects_are_unfrozen_for_one_collection(seconds: float) -> None:
    clock = Clock()
    callback = FreezeAfterSlowGc(clock)
    for day in range(2):
        clock.collection(callback, 2 * SLOW_GC_SECONDS)
        clock.at = (day + 0.9) * MAX_FROZEN_SECONDS
        clock.collection(callback, 2 * SLOW_GC_SECONDS)
        assert gc.get_freeze_count() > 0

        clock.at = (day + 1) * (MAX_FROZEN_SECONDS + 1)
        clock.collection(callback, seconds)
        assert gc.get_freeze_count() == 0


def test_what_was_frozen_and_became_a_garbage_cycle_is_freed_within_a_day() -> None:
    clock = Clock()
    callback = FreezeAfterSlowGc(clock)
    cycle = Node()
    cycle.itself = cycle
    found = weakref.ref(cycle)
    clock.collection(callback, 2 * SLOW_GC_SECONDS)
    del cycle
    gc.collect()
    assert found() is not None

    clock.at += MAX_FROZEN_SECONDS
    clock.collection(callback, SLOW_GC_SECONDS / 2)
    gc.collect()
    assert found() is None


def test_the_settings_apply_within_the_context_and_are_restored_after_it() -> None:
    turn, callbacks, thresholds = sys.getswitchinterval(), list(gc.callbacks), gc.get_threshold()

    with tune_interpreter():
        assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_SECONDS)
        assert len(gc.callbacks) == len(callbacks) + 1
        assert gc.get_threshold() == (*thresholds[:2], FULL_GC_THRESHOLD)
        gc.freeze()

    assert (sys.getswitchinterval(), gc.callbacks, gc.get_threshold()) == (turn, callbacks, thresholds)
    assert gc.get_freeze_count() == 0


def test_garbage_cycles_are_still_collected() -> None:
    with tune_interpreter():
        gc.collect()
        lost: list[object] = []
        lost.append(lost)
        del lost
        assert gc.collect() > 0
