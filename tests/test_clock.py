"""Whole nights of the real program: every scrape has each number under the day that it belongs to.

The expected numbers are the simulator's at the instant of a poll; days are counted here, independently.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING

import pytest

from exporter.app import Runtime, assemble_daemon
from exporter.simulator.dataset import Dataset
from tests.harness import (
    Clock,
    Harness,
    configuration,
    running_harness,
    simulated,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

CHINA = timezone(timedelta(hours=8))
WINDOW = (0, 1, 2, 8, 9)
POLL_SECONDS, SCRAPE_SECONDS = 900.0, 300.0
HOUR, MINUTE, MILLISECOND = 3600.0, 60.0, 0.001
FINAL_AFTER = 33 * HOUR
CERTAIN_AFTER = FINAL_AFTER + 24 * HOUR
SOME = (*Dataset().media_ids[:3], "0" * 32)  # three that are played and an unknown one

Numbers = dict[str, tuple[float, float]]  # plays and viewers by media ID


def at(text: str) -> float:
    """The timestamp of `23T22:00`: an hour of a day in March 2024, UTC+8."""
    return datetime.fromisoformat(f"2024-03-{text}+08:00").timestamp()


def day_of(now: float) -> date:
    return datetime.fromtimestamp(now, CHINA).date()


def start_of(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=CHINA).timestamp()


def window(now: float) -> dict[int, date]:
    return {ago: day_of(now) - timedelta(days=ago) for ago in WINDOW}


@cache
def labels_of(text: str) -> dict[str, str]:
    """The labels of a series; a night has the same series again and again."""
    return dict(re.findall(r'(\w+)="([^"]*)"', text))


@dataclass
class Scraped:
    """The content of a scrape, by the play date that it has for each `days_ago`."""

    dates: dict[int, date]
    numbers: dict[date, Numbers]
    updated: dict[date, float]
    settled: dict[date, float]

    @classmethod
    def of(cls, text: str) -> Scraped:
        samples = [
            (name, labels_of(labels), float(value))
            for name, labels, value in re.findall(
                r"^(aliyun_vod_(?:media_plays|media_viewers|slice_\w+|play_date_\w+))"
                r"\{(.*)\} (\S+)$",
                text,
                re.MULTILINE,
            )
        ]
        starts = {
            int(labels["days_ago"]): value for name, labels, value in samples if name.startswith("aliyun_vod_play_date")
        }
        assert all(start == start_of(day_of(start)) for start in starts.values()), "days begin at 00:00 UTC+8"
        dates = {ago: day_of(start) for ago, start in starts.items()}

        def by_date(wanted: str) -> Iterator[tuple[date, str, float]]:
            for name, labels, value in samples:
                if name == wanted:
                    yield dates[int(labels["days_ago"])], labels.get("media_id", ""), value

        plays, viewers = ({day: {} for day in dates.values()} for _ in range(2))  # type: ignore[var-annotated]
        for found, name in ((plays, "aliyun_vod_media_plays"), (viewers, "aliyun_vod_media_viewers")):
            for day, media_id, value in by_date(name):
                assert media_id not in found[day], "a series twice"
                found[day][media_id] = value
        assert {day: each.keys() for day, each in plays.items()} == {day: each.keys() for day, each in viewers.items()}
        return cls(
            dates,
            {day: {m: (each[m], viewers[day][m]) for m in each} for day, each in plays.items()},
            {day: value for day, _, value in by_date("aliyun_vod_slice_updated_timestamp_seconds")},
            {day: value for day, _, value in by_date("aliyun_vod_slice_settled")},
        )


@dataclass(frozen=True)
class Poll:
    """Start and end of a poll by the exporter's clock, and the service's time."""

    started_at: float
    ended: float
    service: float


@dataclass
class ClockInvariants:
    """What must hold whatever the clock does, also over restarts. `media`: of the query; None: all."""

    media: tuple[str, ...] | None = None
    polls: list[Poll] = field(default_factory=list)
    looked_final: Counter[date] = field(default_factory=Counter)
    looked_certain: set[date] = field(default_factory=set)
    published_dates: set[date] = field(default_factory=set)
    scrapes: int = 0
    _known: dict[tuple[date, float], Numbers] = field(default_factory=dict)

    def truth(self, harness: Harness, day: date, service: float) -> Numbers:
        """The service's numbers for a day at an instant; by ID, a video without a row is a zero."""
        if (day, service) not in self._known:
            catalogue = harness.simulator.dataset
            rows = {m: catalogue.row(m, day, now=service) for m in self.media or catalogue.media_ids}
            numbers = {m: (row.plays or 0.0, row.viewers or 0.0) for m, row in rows.items() if row is not None}
            zeros = dict.fromkeys(self.media or (), (0.0, 0.0))
            self._known[day, service] = {**zeros, **numbers}
        return self._known[day, service]

    def settled(self) -> set[date]:
        """The days found unchanged twice since they could be final, or polled a day later."""
        return {day for day, polls in self.looked_final.items() if polls >= 3} | self.looked_certain

    async def poll(self, harness: Harness, skew: float = 0.0) -> str:
        started_at, service = harness.clock.at + skew, harness.simulator.now()
        result = await harness.poll()
        self.polls.append(Poll(started_at, harness.clock.at + skew, service))
        self.looked_final.update(
            day for day in window(started_at).values() if started_at >= start_of(day) + FINAL_AFTER
        )
        self.looked_certain |= {
            day for day in window(started_at).values() if started_at >= start_of(day) + CERTAIN_AFTER
        }
        return result

    async def scrape(self, harness: Harness, skew: float = 0.0) -> Scraped:
        """Scrape, and check everything that must hold at any time."""
        self.scrapes += 1
        now = harness.clock.at + skew
        scraped = Scraped.of(await harness.metrics())
        assert scraped.dates == window(now)
        for day, numbers in scraped.numbers.items():
            if day not in scraped.updated:
                assert not numbers
                assert day not in self.published_dates, f"{day} was published and is gone"
                continue
            self.published_dates.add(day)
            updated = scraped.updated[day]
            returned_numbers = [
                self.truth(harness, day, poll.service)
                for poll in self.polls
                if poll.started_at <= updated <= poll.ended
            ]
            assert numbers in returned_numbers, f"{day} is not what the service returned when it was polled"
            if scraped.settled[day]:
                assert numbers == self.truth(harness, day, at("31T00:00")), f"{day} is called settled and will change"
        return scraped


def walk(begin: str, end: str) -> list[tuple[float, str]]:
    """Polls and scrapes in order; around each boundary also a millisecond before, at and after it."""
    first, last = at(begin), at(end)
    moments = [(first + n * POLL_SECONDS, "poll") for n in range(int((last - first) / POLL_SECONDS) + 1)]
    moments += [(when, "scrape") for when, _ in moments]
    moments += [(first + (n + 0.5) * SCRAPE_SECONDS, "scrape") for n in range(int((last - first) / SCRAPE_SECONDS))]
    for boundary in (at("24T00:00"), at("24T09:00"), at("25T00:00")):
        moments += [(boundary + off, "0 scrape") for off in (-MILLISECOND, 0.0)] + [(boundary + MILLISECOND, "scrape")]
    return sorted((when, what) for when, what in moments if first <= when <= last)


async def carry_out(invariants: ClockInvariants, harness: Harness, moments: list[tuple[float, str]]) -> None:
    for when, what in moments:
        harness.clock.at = max(harness.clock.at, when)  # a poll takes its time
        if what == "poll":
            settled, calls_before = invariants.settled(), len(harness.simulator.request_log.calls)
            assert await invariants.poll(harness) == "success"
            calls = {call.parameters["PlayDate"] for call in harness.simulator.request_log.calls[calls_before:]}
            unsettled = {f"{day:%Y%m%d}" for day in window(when).values() if day not in settled}
            assert calls == unsettled, "settled days are requested, or unsettled ones are not"
        else:
            scraped = await invariants.scrape(harness)
            assert scraped.settled == {day: day in invariants.settled() for day in scraped.updated}


@pytest.mark.parametrize("media", [None, SOME], ids=["all", "by ID"])
async def test_from_an_evening_over_a_whole_day_every_number_stands_under_its_day(
    media: tuple[str, ...] | None,
) -> None:
    invariants, clock = ClockInvariants(media), Clock(at("23T22:00"))
    wanted = "all" if media is None else f"{{ids: [{', '.join(map(repr, media))}]}}"
    async with running_harness(clock=clock, media=wanted, days_ago=str(list(WINDOW))) as harness:
        yesterday, nine = date(2024, 3, 23), at("24T09:00")
        assert invariants.truth(harness, yesterday, nine - POLL_SECONDS) != invariants.truth(harness, yesterday, nine)

        await carry_out(invariants, harness, walk("23T22:00", "24T09:15"))
        assert (await invariants.scrape(harness)).settled[yesterday] == 0, "only one further poll found it unchanged"
        await carry_out(invariants, harness, walk("24T09:30", "25T00:15"))

        scraped = await invariants.scrape(harness)
    assert invariants.scrapes > 400
    assert scraped.settled[yesterday] == 1
    assert scraped.numbers[date(2024, 3, 24)] != scraped.numbers[yesterday] != {}
    # Five days before midnight, each day that entered the window after it, and the same after 24:00.
    assert len(invariants.published_dates) == 5 + 2 + 2


async def test_a_day_without_plays_settles_at_the_second_poll_when_it_can_be_final() -> None:
    """The numbers never change: only the time decides."""
    yesterday, clock, unknown = date(2024, 3, 23), Clock(at("24T08:00")), "0" * 32
    async with running_harness(clock=clock, media=f"{{ids: ['{unknown}']}}", days_ago=str(list(WINDOW))) as harness:
        settled = {}
        for minutes in range(0, 105, 15):
            clock.at = max(clock.at, at("24T08:00") + minutes * MINUTE)
            await harness.poll()
            scraped = Scraped.of(await harness.metrics())
            assert scraped.numbers[yesterday] == {unknown: (0, 0)}
            settled[minutes] = scraped.settled[yesterday]

    assert settled == {0: 0, 15: 0, 30: 0, 45: 0, 60: 0, 75: 1, 90: 1}


@pytest.mark.parametrize("restart", ["23T23:59:59.999", "24T03:07", "24T09:20"])
async def test_a_restart_in_the_night_changes_nothing(tmp_path: Path, restart: str) -> None:
    invariants, clock, moments = ClockInvariants(), Clock(at("23T23:00")), walk("23T23:00", "24T10:00")
    for part in ([m for m in moments if m[0] < at(restart)], [m for m in moments if m[0] >= at(restart)]):
        async with running_harness(clock=clock, storage=tmp_path / "vod.db", days_ago=str(list(WINDOW))) as harness:
            if invariants.polls:
                clock.at = at(restart)
                restored = await invariants.scrape(harness)
                assert restored.updated.keys() == invariants.published_dates & set(restored.dates.values())
                assert not harness.simulator.request_log.calls
            await carry_out(invariants, harness, part)
    assert date(2024, 3, 23) in invariants.settled()


async def test_a_poll_that_goes_on_over_midnight_keeps_the_days_it_began_with() -> None:
    """Five slices of one page, one call per second, from two seconds before midnight on."""
    slow = "accounts: [{name: main, endpoint: ENDPOINT, timeout: TIMEOUT, limits: {requests_per_second: 1, "
    slow += "concurrency: 1}, credentials: {access_key_id: simulator, access_key_secret: simulator-secret}}]\n"
    slow += "queries: [{name: q, media: MEDIA, dimensions: DIMENSIONS, days_ago: DAYS_AGO, expected: false}]\n"
    invariants, clock = ClockInvariants(SOME), Clock(at("23T23:59:58"))
    wanted = f"{{ids: [{', '.join(map(repr, SOME))}]}}"
    async with running_harness(clock=clock, media=wanted, days_ago=str(list(WINDOW)), text=slow) as harness:
        assert await invariants.poll(harness) == "success"
        assert clock.at > at("24T00:00:01"), "it has to end on the next day"

        scraped = Scraped.of(await harness.metrics())

        assert scraped.dates == window(clock.at)
        calls_before = set(window(at("23T23:59:58")).values())
        assert (
            scraped.updated.keys()
            == calls_before & set(scraped.dates.values())
            == {date(2024, 3, 23), date(2024, 3, 22), date(2024, 3, 15)}
        )
        for day in scraped.updated:
            before, after = (invariants.truth(harness, day, when) for when in (invariants.polls[0].service, clock.at))
            for media_id, numbers in scraped.numbers[day].items():
                assert numbers in (before[media_id], after[media_id])


@dataclass
class Skewed:
    """A harness whose exporter has a clock that is wrong by `skew` seconds; the harness's own clock is right."""

    harness: Harness
    skew: list[float]


@contextlib.asynccontextmanager
async def skewed(begin: str) -> AsyncGenerator[Skewed]:
    clock, skew = Clock(at(begin)), [0.0]
    # Only the wall clock can be wrong: a monotonic clock is never set.
    runtime = Runtime({}, lambda: clock.at + skew[0], clock.now, clock.sleep)
    async with (
        simulated(clock=clock) as (simulator, url),
        assemble_daemon(configuration(url, days_ago=str(list(WINDOW))), runtime) as exporter,
    ):
        yield Skewed(Harness(exporter, simulator, clock), skew)


@pytest.mark.parametrize("together", [False, True], ids=["ours alone", "the service's too"])
@pytest.mark.parametrize("skew", [-HOUR, HOUR, -10 * MINUTE, 10 * MINUTE])
@pytest.mark.parametrize(
    ("begin", "wrong", "right"),
    [
        ("23T23:30", "23T23:50", "24T01:35"),  # while midnight is near
        ("23T23:30", "24T00:05", "24T01:35"),  # set back over midnight, there is another one
        ("23T22:30", "23T23:20", "23T23:55"),  # set forward over midnight, and it was not
        ("24T08:30", "24T08:40", "24T10:05"),  # while yesterday becomes final
    ],
)
async def test_a_clock_that_is_set_wrong_and_right_again_never_shows_a_wrong_day(
    begin: str, wrong: str, right: str, skew: float, *, together: bool
) -> None:
    invariants = ClockInvariants()
    async with skewed(begin) as set_:
        harness, end = set_.harness, at(right) + HOUR
        while harness.clock.at < end:
            is_wrong = at(wrong) <= harness.clock.at < at(right)
            now_skew = set_.skew[0] = skew if is_wrong else 0.0
            harness.simulator.change(clock_offset=now_skew if together else 0.0)
            await invariants.scrape(harness, now_skew)
            if (harness.clock.at - at(begin)) // MINUTE % 15 == 0:
                result = await invariants.poll(harness, now_skew)
                assert is_wrong or result == "success"
                await invariants.scrape(harness, now_skew)
            harness.clock.at = (harness.clock.at // MINUTE + 5) * MINUTE
        refused = ("InvalidTimeStamp.Expired", "clock") in await harness.errors()
        assert refused == (abs(skew) == HOUR and not together), "the service refuses what is signed in another hour"

        scraped = await invariants.scrape(harness)
        assert scraped.updated.keys() == set(window(harness.clock.at).values()), "everything is there in the end"
        today = day_of(harness.clock.at)
        assert scraped.numbers[today] == invariants.truth(harness, today, invariants.polls[-1].service)


async def test_a_clock_set_back_neither_unsettles_nor_requests_a_settled_day() -> None:
    async with skewed("24T09:00") as set_:
        invariants, harness = ClockInvariants(), set_.harness
        for _ in range(3):
            await invariants.poll(harness)
            harness.clock.at += POLL_SECONDS
        assert (await invariants.scrape(harness)).settled[date(2024, 3, 23)] == 1

        set_.skew[0] = -2 * HOUR
        harness.simulator.change(clock_offset=-2 * HOUR)
        calls_before = len(harness.simulator.request_log.calls)
        for _ in range(12):
            assert await invariants.poll(harness, -2 * HOUR) == "success"
            assert (await invariants.scrape(harness, -2 * HOUR)).settled[date(2024, 3, 23)] == 1
            harness.clock.at += POLL_SECONDS

        calls = harness.simulator.request_log.calls[calls_before:]
        assert {call.parameters["PlayDate"] for call in calls} == {"20240324"}


async def test_data_from_before_the_clock_was_set_back_does_not_stay_fresh() -> None:
    """The service is called again at every poll until it answers, however far ahead our clock was before."""
    async with skewed("24T13:00") as set_:
        invariants, harness = ClockInvariants(), set_.harness
        set_.skew[0] = HOUR
        harness.simulator.change(clock_offset=HOUR)
        assert await invariants.poll(harness, HOUR) == "success"

        set_.skew[0] = 0.0  # our clock is right again, the service's is not yet: it refuses us
        for _ in range(3):
            harness.clock.at += POLL_SECONDS
            calls_before = len(harness.simulator.request_log.calls)
            assert await invariants.poll(harness) == "partial", "older days are settled"
            assert len(harness.simulator.request_log.calls) > calls_before
