from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.backfill.estimate import LOOKBACK, estimate, step_for
from exporter.core.model import ByIds, Dimensions, Everything, Measure, Query, Top
from exporter.core.play_dates import Settlement

HEADLINE = Query("headline", "a", 3600.0, ByIds(frozenset(("0" * 32, "1" * 32))), (Dimensions(),), (1, 8))


def test_calls_time_and_size_of_media_by_id() -> None:
    line = estimate([HEADLINE], 10, Settlement(), {"a": 5.0}).line(None)
    # Two calls a day at 5 a second; 8 plays series and 2 of the media for each, 288 samples of 200 bytes a day.
    assert line.startswith("10 days: 20 calls, 4 s or more; ")
    assert " with --step=5m; --query and --days reduce it" in line


def test_accounts_are_requested_at_the_same_time() -> None:
    other = replace(HEADLINE, name="other", account="b")
    assert estimate([HEADLINE, other], 10, Settlement(), {"a": 5.0, "b": 1.0}).seconds == 20


def test_an_unknown_number_of_media_is_not_guessed() -> None:
    everything = replace(HEADLINE, media=Everything())
    line = estimate([HEADLINE, everything], 30, Settlement(), {"a": 5.0}).line(3600)
    # 24 samples of 200 bytes a day for 12 series: 1.7 MB in 30 days.
    of_each = "; 12 series, 1.7 MB with --step=1h for each video that has plays"
    assert f"{of_each}, and 24 series, up to 3.5 MB, of other queries; --query" in line


def test_from_how_many_media_on_the_step_becomes_longer() -> None:
    everything = replace(HEADLINE, media=Everything())
    line = estimate([everything], 30, Settlement(), {"a": 5.0}).line(None)
    # A video has 12 series with 288 samples on each of 30 days, 103,680 of the ten million.
    assert "20.7 MB with --step=5m for each video that has plays; from 97 such media on the step becomes longer" in line


def test_a_top_beside_all_media_counts_with_its_most_media() -> None:
    top, everything = replace(HEADLINE, media=Top(100, Measure.PLAYS)), replace(HEADLINE, media=Everything())
    line = estimate([top, everything], 30, Settlement(), {"a": 5.0}).line(None)
    # 1,400 series with 8,640 samples each exceed ten million already.
    assert ", and 0 to 1400 series, up to 2.4 GB, of other queries; the step becomes longer for so many samples" in line
    some = estimate([replace(top, media=Top(50, Measure.PLAYS)), everything], 30, Settlement(), {"a": 5.0}).line(None)
    assert "; from 39 such media on the step becomes longer" in some


def test_what_is_one_is_no_plural_and_much_is_in_gigabytes() -> None:
    one = replace(HEADLINE, media=ByIds(frozenset(("0" * 32,))))
    assert estimate([one], 1, Settlement(), {"a": 5.0}).line(None).startswith("1 day: 1 call; 12 series, ")
    many = replace(HEADLINE, media=ByIds(frozenset(f"{number:032x}" for number in range(1000))))
    assert "12000 series, up to 20.7 GB with --step=5m" in estimate([many], 30, Settlement(), {"a": 5.0}).line(None)


def test_a_longer_step_is_announced() -> None:
    many = replace(HEADLINE, media=ByIds(frozenset(f"{number:032x}" for number in range(1000))))
    assert "; the step becomes longer for so many samples" in estimate([many], 30, Settlement(), {"a": 5.0}).line(None)
    assert "made longer" not in estimate([many], 30, Settlement(), {"a": 5.0}).line(LOOKBACK)


@pytest.mark.parametrize(
    ("samples", "step"), [(0, 300), (10_000_000, 300), (10_000_001, 900), (30_000_001, 3600), (120_000_001, 21_600)]
)
def test_the_step_is_the_shortest_with_at_most_ten_million_samples(samples: int, step: int) -> None:
    assert step_for(samples) == step


@given(st.integers(0, 10**10))
def test_more_samples_never_get_a_shorter_step(samples: int) -> None:
    assert LOOKBACK <= step_for(samples) <= step_for(samples * 2)
