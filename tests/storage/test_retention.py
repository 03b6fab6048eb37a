from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from exporter.core.model import Freshness, Measure, MediaRecord, Ranking, SliceData
from exporter.storage.retention import retention_cutoff
from tests.storage.examples import DAY_SECONDS, NOON, TODAY, YESTERDAY, some

YEARS = 12 * 365 * DAY_SECONDS
OBSERVED, SETTLED = Freshness(NOON, 1), Freshness(NOON, 2, settled=True)


def without_plays(freshness: Freshness) -> list[SliceData]:
    """No media has plays: known by ID, by a listing, by a ranking."""
    nothing = replace(some(rows=0), records={}, listed=None, rankings={}, total=0)
    return [
        replace(nothing, records={"m": MediaRecord(None, freshness)}),
        replace(nothing, listed=freshness),
        replace(nothing, rankings={Measure.PLAYS: Ranking(2, (), freshness)}),
    ]


@pytest.mark.parametrize(
    ("newest", "now", "kept_slices"),
    [
        (TODAY, NOON, TODAY - timedelta(10)),
        (YESTERDAY, NOON, YESTERDAY - timedelta(9)),  # its end is the start of today
        (TODAY, NOON + YEARS, TODAY - timedelta(9)),
        (TODAY, 1e300, TODAY - timedelta(9)),
        (TODAY, NOON - 3 * DAY_SECONDS, TODAY - timedelta(13)),
        (TODAY, 0.0, date(1970, 1, 1)),
        (TODAY + timedelta(4000), NOON, TODAY - timedelta(10)),
    ],
)
def test_retention_counts_from_the_newest_day_with_plays_or_from_now(
    newest: date, now: float, kept_slices: date
) -> None:
    saved_slices = [some(day=YESTERDAY - timedelta(3)), some(day=newest), some(day=YESTERDAY - timedelta(5))]

    assert retention_cutoff(saved_slices, now, 10 * DAY_SECONDS) == kept_slices


@pytest.mark.parametrize("data", without_plays(SETTLED))
def test_a_settled_day_without_plays_is_confirmed_too(data: SliceData) -> None:
    assert retention_cutoff([data], NOON + YEARS, DAY_SECONDS) == YESTERDAY


@pytest.mark.parametrize(
    "data", [*without_plays(OBSERVED), replace(without_plays(OBSERVED)[0], records={}, ready=False)]
)
def test_an_unsettled_day_without_plays_proves_no_date(data: SliceData) -> None:
    assert retention_cutoff([data], NOON, DAY_SECONDS) is None


def test_without_data_nothing_is_deleted() -> None:
    assert retention_cutoff([], NOON + YEARS, DAY_SECONDS) is None
