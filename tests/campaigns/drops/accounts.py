"""Simulated accounts day by day, as the exporter publishes their settled days, and the incidents in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from exporter.core.expectation import DAYS_OF_NEW, DAYS_USED, expected_plays, usual_step
from exporter.core.model import Dimensions
from exporter.simulator.calendar import start_of_day
from exporter.simulator.dataset import Dataset
from exporter.simulator.generated_media import generate_media
from exporter.simulator.incidents import Incident

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ALL: Final = Dimensions()
# As a team queries it: without filters, by terminal type, by the main OSes and by some regions, among them a small one.
FILTERS: Final = (
    ALL,
    *(Dimensions(terminal_type=each) for each in ("Native", "Web")),
    *(Dimensions(os=each) for each in ("Android", "iOS", "Windows")),
    *(Dimensions(region=each) for each in ("cn-beijing", "cn-shanghai", "eu-central-1")),
)
_PUBLISHED_AFTER: Final = 40 * 3600.0
_FIRST: Final = date(2026, 2, 2)
# Months and weekdays differ by seed.
_APART: Final = 37


@dataclass(frozen=True, slots=True)
class Settled:
    """Plays of a video on a settled day; None where nothing is published."""

    plays: int | None
    expected: float | None


@dataclass(frozen=True, slots=True)
class Account:
    """An account over `days` settled days from `first` on; its alerts count from day `warm_up` on."""

    name: str
    seed: int
    media: int
    first: date
    days: int
    warm_up: int = 0
    incidents: tuple[Incident, ...] = ()
    filters: tuple[Dimensions, ...] = FILTERS

    def day(self, number: int) -> date:
        """A settled day, counted from 0."""
        return self.first + timedelta(days=number)

    def settled(self) -> Iterator[tuple[Dimensions, str, list[Settled]]]:
        """For each filter and media what is published of each day."""
        dataset = Dataset(self.seed, self.media, self.incidents)
        earliest = -max(DAYS_USED) + 1
        for dimensions in self.filters:
            plays = {number: _plays(dataset, self.day(number), dimensions) for number in range(earliest, self.days)}
            steps = [_usual_step(dimensions, plays[number - 8], plays[number - 7]) for number in range(self.days)]
            for media_id in dataset.media_ids:
                line = [_of_day(plays, number, media_id, steps[number]) for number in range(self.days)]
                if any(each.plays is not None for each in line):
                    yield dimensions, media_id, line


def _plays(dataset: Dataset, day: date, dimensions: Dimensions) -> dict[str, int]:
    result = dataset.result_set(day, dimensions, now=start_of_day(day) + _PUBLISHED_AFTER)
    return {counts.media.media_id: counts.plays for counts in result}


def _usual_step(dimensions: Dimensions, before: Mapping[str, int], after: Mapping[str, int]) -> float | None:
    return usual_step((count, after.get(each, 0)) for each, count in before.items()) if dimensions == ALL else None


def _of_day(plays: Mapping[int, Mapping[str, int]], number: int, media_id: str, step: float | None) -> Settled:
    """A query for all media shows those with plays on a day, and those that were expected to have some."""
    earlier = {ago: plays[number + 1 - ago].get(media_id, 0) for ago in (*DAYS_USED, *DAYS_OF_NEW)}
    expected = expected_plays(earlier, step)
    found = plays[number].get(media_id)
    if found is None and not (expected and media_id in plays[number - 1]):
        return Settled(None, None)
    return Settled(found or 0, expected)


def healthy(seed: int, *, media: int = 100, days: int = 28, filters: tuple[Dimensions, ...] = FILTERS) -> Account:
    """Without incidents; the alert about a slow decline needs a fortnight before."""
    return Account(f"healthy-{seed}", seed, media, _first(seed), days + 14, warm_up=14, filters=filters)


def account_wide(
    kind: str, seed: int, change: float, dimensions: Dimensions = ALL, *, media: int = 100, days: int = 8
) -> Account:
    """An incident of all media of an account, from the middle on."""
    first = _first(seed)
    incident = Incident(
        kind,
        change,
        first + timedelta(days=days // 2),
        terminal_type=dimensions.terminal_type,
        os=dimensions.os,
        region=dimensions.region,
    )
    named = "-".join(filter(None, (kind, dimensions.terminal_type, dimensions.os, dimensions.region)))
    return Account(f"{named}{change * 100:+.0f}-{seed}", seed, media, first, days, incidents=(incident,))


def of_media(kind: str, seed: int, change: float, *, media: int = 100, days: int = 14, count: int = 8) -> Account:
    """Incidents of single media that are old enough and have 100 expected plays or more, one a day."""
    first = _first(seed)
    days_of = [first + timedelta(days=number) for number in range(2, days - 2)]
    incidents = [
        Incident(kind, change, day, media_id=media_id)
        for day, media_id in zip(days_of, _played_media(seed, media, first, days), strict=False)
    ]
    return Account(f"{kind}{change * 100:+.0f}-{seed}", seed, media, first, days, incidents=tuple(incidents[:count]))


def of_new_media(kind: str, seed: int, change: float, *, media: int = 100, days: int = 14) -> Account:
    """Incidents of single media in their first week, with 200 plays or more on that day and three before; one a day."""
    first = _first(seed)
    dataset = Dataset(seed, media)
    plays = {number: _plays(dataset, first + timedelta(days=number), ALL) for number in range(-9, days)}
    incidents: dict[str, Incident] = {}
    for number in range(2, days - 2):
        for media_id in sorted(plays[number].keys() - incidents.keys()):
            played = all(plays[number - ago].get(media_id, 0) >= 200 for ago in range(4))
            if played and not any(plays[number - ago].get(media_id) for ago in (7, 8)):
                incidents[media_id] = Incident(kind, change, first + timedelta(days=number), media_id=media_id)
                break
    return Account(f"new-{kind}{change * 100:+.0f}-{seed}", seed, media, first, days, incidents=(*incidents.values(),))


def _played_media(seed: int, media: int, first: date, days: int) -> Sequence[str]:
    """Media with at least 200 plays a day through all the time; in no order of popularity."""
    dataset = Dataset(seed, media)
    times = [first + timedelta(days=number) for number in range(-9, days)]
    plays = [_plays(dataset, day, ALL) for day in times]
    return [
        each.media_id
        for each in sorted(generate_media(seed, media), key=lambda one: one.key)
        if all(of_day.get(each.media_id, 0) >= 200 for of_day in plays)
    ]


def _first(seed: int) -> date:
    return _FIRST + timedelta(days=_APART * seed)
