from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from statistics import median, quantiles
from typing import TYPE_CHECKING

import pytest

from exporter.core.model import Dimensions
from exporter.simulator.calendar import start_of_day
from exporter.simulator.dataset import Dataset
from exporter.simulator.generated_media import generate_media
from exporter.simulator.popularity import BUCKET, BUCKETS, DAY, WEIGHTS, played_before

if TYPE_CHECKING:
    from exporter.simulator.generated_media import Media

MONDAY = date(2026, 3, 16)
MEDIA = list(generate_media(0, 2_000))
RELEASES = [media for media in MEDIA if media.cycle]
EVERGREEN = [media for media in MEDIA if not media.cycle]
DATASET = Dataset(media=len(MEDIA))


def plays(media: Media, day: date, what: Dimensions | None = None) -> int:
    counts = DATASET.counts(media.media_id, day, what or Dimensions(), now=start_of_day(day) + 40 * 3600)
    return counts.plays if counts else 0


def account(day: date) -> int:
    """The plays of all media that do not age and are played often."""
    return sum(plays(media, day) for media in EVERGREEN if 100 < media.popularity < 2_000)


def first_full_day(media: Media) -> date:
    """The first Tuesday after the release."""
    return MONDAY + timedelta(days=-(MONDAY.toordinal() + media.offset) % media.cycle + 1)


def ratios(days: int) -> list[float]:
    """For every release with enough plays: the plays after so many days, relative to those of the first full day."""
    found = []
    for media in RELEASES:
        first = first_full_day(media)
        if (at_first := plays(media, first)) >= 200:
            found.append(plays(media, first + timedelta(days=days)) / at_first)
    return found


@pytest.mark.parametrize(
    ("days", "middle", "quartiles"), [(7, 0.44, (0.20, 0.73)), (14, 0.28, (0.10, 0.53)), (28, 0.20, (0.06, 0.50))]
)
def test_new_media_age_as_real_videos_do(days: int, middle: float, quartiles: tuple[float, float]) -> None:
    found = ratios(days)
    assert len(found) > 300
    lower, median_, upper = quantiles(found, n=4)
    assert median_ == pytest.approx(middle, rel=0.12)
    assert (lower, upper) == pytest.approx(quartiles, rel=0.25, abs=0.03)
    assert sum(ratio > 1 for ratio in found) > 0.03 * len(found), "some grow"


def test_before_its_release_a_video_has_no_plays_and_ends_without_a_fall() -> None:
    for media in RELEASES[::4]:
        released = first_full_day(media) - timedelta(days=1)
        assert plays(media, released - timedelta(days=1)) < 0.002 * media.popularity + 3
        line = [plays(media, released + timedelta(days=n)) for n in range(1, media.cycle)]
        falls = [after / before for before, after in pairwise(line) if before >= 300]
        assert not falls or min(falls) > 0.15


def test_media_that_do_not_age_stay_within_a_few_times_their_popularity() -> None:
    for media in EVERGREEN:
        if media.popularity > 100:
            line = [plays(media, MONDAY + timedelta(days=n)) for n in range(0, 60, 7)]
            assert 0.4 * media.popularity < median(line) < 2.2 * media.popularity


@pytest.mark.parametrize("holiday", [date(2026, 10, 3), date(2030, 5, 2), date(2027, 1, 1)])
def test_on_a_holiday_the_whole_account_has_more_plays(holiday: date) -> None:
    week_before = holiday - timedelta(days=7)
    assert account(holiday) / account(week_before) == pytest.approx(1.2, rel=0.12)


def test_the_week_has_its_rhythm() -> None:
    weeks = [[account(MONDAY + timedelta(days=7 * week + day)) for day in range(7)] for week in range(4)]
    by_day = [median(week[day] for week in weeks) for day in range(7)]
    assert min(by_day[5:]) > max(by_day[:5])


def test_at_weekends_less_of_the_plays_are_on_the_web() -> None:
    def share(day: date) -> float:
        every = EVERGREEN[:300]
        return sum(plays(media, day, Dimensions("Web")) for media in every) / sum(plays(media, day) for media in every)

    wednesday, saturday = MONDAY + timedelta(days=2), MONDAY + timedelta(days=5)
    assert 0.85 < share(saturday) / share(wednesday) < 0.985


def test_some_media_have_spikes_that_are_over_within_days() -> None:
    popular = [media for media in EVERGREEN if 300 < media.popularity < 3_000]
    spikes = [
        [plays(media, day + timedelta(days=n)) / plays(media, day - timedelta(days=7 - n)) for n in (0, 7)]
        for media in popular
        for day in (MONDAY + timedelta(days=n) for n in range(30))
        if plays(media, day) > 3 * plays(media, day - timedelta(days=7))
    ]
    assert spikes
    assert median(after for _, after in spikes) < 0.7
    assert len(spikes) < 0.02 * 30 * len(popular)


def test_the_buckets_are_the_whole_day() -> None:
    assert len(WEIGHTS) == BUCKETS == 288
    assert sum(WEIGHTS) == pytest.approx(1)
    assert (played_before(0), played_before(DAY)) == (0, 1)


def test_few_play_at_night_and_most_in_the_evening() -> None:
    busiest, quietest = (WEIGHTS.index(pick(WEIGHTS)) * BUCKET / 3600 for pick in (max, min))
    assert 20 <= busiest < 22
    assert 3 <= quietest < 6
    # Without steps that an alert could take for a drop.
    assert all(0.7 < after / before < 1.4 for before, after in pairwise(WEIGHTS))


def test_what_was_played_grows_within_a_bucket_too() -> None:
    shares = [played_before(second) for second in range(0, DAY + 1, 100)]
    assert shares == sorted(shares)
    assert played_before(150) == pytest.approx(WEIGHTS[0] / 2)
