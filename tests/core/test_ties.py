"""A service that sorts equal rows anew for each page: after some polls all rows are known, correct and settled."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from exporter.core.listing import value
from exporter.core.model import Measure, Page, PlayRow
from exporter.core.poll_report import PollResult
from exporter.core.publication import PublicationRules
from exporter.core.publication_builder import publish
from tests.core.fake_service import (
    NOON,
    TODAY,
    YESTERDAY,
    FakeService,
    everything,
    ids,
    query,
    row,
    top,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.core.model import Media, Slice
    from exporter.core.poll_report import PollReport
    from exporter.core.poller import Poller
    from exporter.core.publication import PublishedSlice

EVERY = 900.0
# One reading of 300 media with equal plays returns about two thirds of them.
ENOUGH_POLLS = 40


@dataclass
class Shuffling(FakeService):
    """Sorts equal rows anew for each request; `largest` limits a page, `jitter` varies the last digit of sums."""

    random: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - a test
    largest: int = 100
    jitter: bool = False

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        await asyncio.sleep(0)
        self.calls.append((slice_, media_id, order_by, page))
        rows = [each for each in self.rows[slice_] if media_id in {None, each.media_id}]
        self.random.shuffle(rows)
        rows.sort(key=lambda each: -value(each, order_by or Measure.PLAYS))
        size = min(page_size, self.largest)
        return Page(tuple(map(self._as_returned, rows[(page - 1) * size : page * size])), len(rows), "R")

    def _as_returned(self, given_: PlayRow) -> PlayRow:
        if not self.jitter or given_.play_duration is None:
            return given_
        return replace(given_, play_duration=given_.play_duration + self.random.choice([0.0, 1e-9]))


def catalogue(*groups: tuple[int, int]) -> list[PlayRow]:
    """For each group (count, plays): `count` media with `plays` plays each."""
    plays = [plays for count, plays in groups for _ in range(count)]
    return [row(f"m{number:04}", each, play_duration=each * 1.7) for number, each in enumerate(plays)]


THREE_HUNDRED = [*catalogue(*((1, 1000 - n) for n in range(60))), *catalogue((60, 0), (90, 5), (150, 1))[60:]]


def published_slice(poller: Poller, media: Media, now: float) -> PublishedSlice:
    rules = PublicationRules((query(media),), stale_after=2 * 86_400.0, series_limit=10**6)
    (slice_,) = publish(poller.snapshot, rules, now).slices
    return slice_


async def polls(
    service: FakeService, media: Media, most: int = ENOUGH_POLLS
) -> tuple[Poller, list[PollReport], list[int]]:
    """Polls until the slice is settled; returns the poller, the reports and the calls of each poll."""
    poller = service.poller()
    reports: list[PollReport] = []
    calls: list[int] = []
    while len(reports) < most:
        before = len(service.calls)
        reports.append(await poller.poll(query(media)))
        calls.append(len(service.calls) - before)
        if published_slice(poller, media, service.now).settled:
            break
        service.now += EVERY
    return poller, reports, calls


@pytest.mark.parametrize("seed", range(10))
async def test_three_hundred_media_of_which_most_are_equal_settle_in_some_polls(seed: int) -> None:
    service = Shuffling(random=Random(seed))  # noqa: S311 - a test
    slice_ = service.put(list(THREE_HUNDRED))

    poller, reports, calls = await polls(service, everything)

    rows = {each.media_id: each for each in THREE_HUNDRED}
    assert published_slice(poller, everything, service.now).rows == rows
    assert published_slice(poller, everything, service.now).settled
    assert len(reports) <= 10
    assert [report.result for report in reports[-3:]] == [PollResult.SUCCESS] * 3
    assert calls[-2:] == [3, 3], "a listing that earlier rows complete is read once"
    assert sum(calls) <= 6 * len(calls)
    assert poller.snapshot.slices[slice_].record("never") is not None, (
        "a video that is not on a complete listing is a zero"
    )


async def test_a_settled_listing_is_not_read_again() -> None:
    service = Shuffling()
    service.put(list(THREE_HUNDRED))
    poller, _, _ = await polls(service, everything)
    calls = len(service.calls)
    service.now += EVERY

    assert (await poller.poll(query(everything))).result is PollResult.SUCCESS
    assert len(service.calls) == calls


groups = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 6)), min_size=1, max_size=5).map(
    lambda given_: catalogue(*given_)
)


@settings(max_examples=100, deadline=None)
@given(groups, st.sampled_from([100, 50, 30]), st.randoms(use_true_random=False), st.booleans(), st.integers(1, 8))
async def test_any_ties_in_any_order_in_any_pages_settle_with_all_rows_and_no_wrong_number(
    rows: list[PlayRow],
    largest: int,
    random: Random,
    jitter: bool,  # noqa: FBT001 - drawn
    max_in_flight: int,
) -> None:
    service = Shuffling(random=random, largest=largest, jitter=jitter, max_in_flight=max_in_flight)
    service.put(list(rows))

    poller, reports, calls = await polls(service, everything)

    event(f"{len(reports)} polls")
    published = published_slice(poller, everything, service.now)
    assert published.settled
    assert {m: r and r.plays for m, r in published.rows.items()} == {r.media_id: r.plays for r in rows}
    pages = -(-len(rows) // largest)
    assert max(calls) <= 2 * (pages + max_in_flight)


@pytest.mark.parametrize("seed", [41, 56, 99])
async def test_a_row_is_a_repetition_also_as_the_same_object(seed: int) -> None:
    """Of 43 best media on two pages of 30 some are listed twice, and others not at all; those are missing."""
    service = Shuffling(random=Random(seed), largest=30)  # noqa: S311 - a test
    rows = catalogue((53, 1), (43, 2), (36, 1))
    service.put(rows)

    poller, _, _ = await polls(service, top(56))

    published = published_slice(poller, top(56), service.now)
    assert published.settled
    assert sum(each.plays == 2 for each in published.rows.values() if each) == 43


@settings(max_examples=100, deadline=None)
@given(
    groups,
    st.integers(1, 250),
    st.sampled_from([100, 50, 30]),
    st.randoms(use_true_random=False),
    st.sampled_from([Measure.PLAYS, Measure.PLAY_DURATION]),
    st.booleans(),
)
async def test_a_top_with_ties_at_its_edge_settles_with_the_best(
    rows: list[PlayRow],
    n: int,
    largest: int,
    random: Random,
    by: Measure,
    jitter: bool,  # noqa: FBT001 - drawn
) -> None:
    service = Shuffling(random=random, largest=largest, jitter=jitter)
    service.put(list(rows))

    poller, reports, _ = await polls(service, top(n, by))

    event(f"{len(reports)} polls")
    published = published_slice(poller, top(n, by), service.now)
    assert published.settled
    best = sorted((value(each, by) for each in rows), reverse=True)[:n]
    assert sorted((value(r, by) for r in published.rows.values() if r), reverse=True) == pytest.approx(best)


async def test_which_of_the_equal_media_are_in_a_top_does_not_change_once_the_day_can_be_final() -> None:
    service = Shuffling()
    service.put(catalogue((5, 9), (50, 3)))
    poller, best = service.poller(), top(20)
    sets = []
    for _ in range(5):
        await poller.poll(query(best))
        sets.append(frozenset(published_slice(poller, best, service.now).rows))
        service.now += EVERY

    assert len(set(sets)) == 1


async def test_on_a_day_that_may_change_nothing_is_carried_from_poll_to_poll() -> None:
    service = Shuffling()
    slice_ = service.put(catalogue((150, 1)), TODAY)
    poller, polled_query = service.poller(), query(everything, days_ago=(0,))
    for _ in range(20):
        if (await poller.poll(polled_query)).result is PollResult.PARTIAL:
            break
        service.now += 60
    else:
        pytest.fail("the service never left a row out")
    assert poller.snapshot.slices[slice_].updated_at != service.now

    service.rows[slice_] = catalogue((90, 1))
    service.now += EVERY

    assert (await poller.poll(polled_query)).result is PollResult.SUCCESS
    assert len(poller.snapshot.slices[slice_].records) == 90


@pytest.mark.parametrize("gone", [1, 20, 100])
async def test_media_that_are_gone_are_not_kept_for_ever(gone: int) -> None:
    service = Shuffling()
    slice_ = service.put(list(THREE_HUNDRED))
    poller = service.poller()
    await poller.poll(query(everything))
    service.now += EVERY
    left = sorted(THREE_HUNDRED, key=lambda each: each.media_id)[:-gone]
    service.rows[slice_] = list(left)

    for _ in range(ENOUGH_POLLS):
        await poller.poll(query(everything))
        if published_slice(poller, everything, service.now).settled:
            break
        service.now += EVERY

    assert published_slice(poller, everything, service.now).rows.keys() == {each.media_id for each in left}


async def test_a_video_that_takes_the_place_of_another_is_found_and_the_other_goes() -> None:
    service = Shuffling()
    slice_ = service.put(list(THREE_HUNDRED))
    poller = service.poller()
    await poller.poll(query(everything))
    service.now += EVERY
    rows = sorted(THREE_HUNDRED, key=lambda each: each.media_id)
    service.rows[slice_] = [*rows[:-1], row("other", 1, play_duration=1.7)]

    for _ in range(ENOUGH_POLLS):
        await poller.poll(query(everything))
        service.now += EVERY

    known = poller.snapshot.slices[slice_]
    assert {m for m, a in known.records.items() if a.row} == {*(r.media_id for r in rows[:-1]), "other"}


async def test_a_number_that_was_corrected_late_is_not_shown_as_it_was() -> None:
    service = Shuffling()
    slice_ = service.put(list(THREE_HUNDRED))
    poller, best = service.poller(), top(80)
    await poller.poll(query(best))
    service.now += EVERY
    first = max(THREE_HUNDRED, key=lambda each: each.plays or 0)
    service.rows[slice_] = [each if each is not first else replace(each, plays=1) for each in THREE_HUNDRED]

    await poller.poll(query(best))

    assert first.media_id not in published_slice(poller, best, service.now).rows


DOUBLED = [
    [row("a", 50, title="one"), row("a", 27, title="two"), row("b", 20)],
    [row("a", 27, title="two"), row("b", 20), row("a", 50, title="one")],
]


@pytest.mark.parametrize("listed", DOUBLED)
@pytest.mark.parametrize("media", [ids("a", "b"), top(2), top(5), everything], ids=["ids", "top 2", "top 5", "all"])
@pytest.mark.parametrize("play_date", [TODAY, YESTERDAY])
async def test_of_two_rows_of_a_video_the_one_with_more_plays_counts_and_is_reported(
    listed: list[PlayRow], media: Media, play_date: object
) -> None:
    service = FakeService()
    slice_ = service.put(list(listed), TODAY if play_date == TODAY else YESTERDAY)
    poller = service.poller()

    report = await poller.poll(query(media, days_ago=((TODAY - slice_.play_date) // timedelta(days=1),)))

    assert report.result is PollResult.SUCCESS
    plays: Mapping[str, object] = {
        m: a.row and (a.row.plays, a.row.title) for m, a in poller.snapshot.slices[slice_].records.items()
    }
    assert plays == {"a": (50, "one"), "b": (20, "title of b")}
    ((problem,),) = [outcome.problems for outcome in report.outcomes]
    assert (problem.field, problem.media_id, problem.times) == ("MediaId", "a", 1)
    assert "several rows" in problem.reason


async def test_two_rows_of_a_video_are_distinguished_from_one_that_moved() -> None:
    """Both readings return the same two rows, so the media has not moved."""
    service = FakeService()
    slice_ = service.put([*(row(f"m{n:03}", 1000 - n) for n in range(150)), row("m000", 3)])
    poller = service.poller()

    report = await poller.poll(query(everything))

    assert report.result is PollResult.SUCCESS
    data = poller.snapshot.slices[slice_]
    assert data.listed is not None
    assert len(data.records) == 150
    assert data.records["m000"].row == row("m000", 1000)
    ((problem,),) = [outcome.problems for outcome in report.outcomes]
    assert (problem.media_id, problem.times) == ("m000", 1)


async def test_a_video_that_moved_while_it_was_read_hides_no_other() -> None:
    """A video is on both pages with growing numbers, and another on none: that one is not a zero."""
    service = FakeService()
    slice_ = service.put([row(f"m{n:03}", 1000 - n) for n in range(150)])
    reading = Counter[int]()

    def moving(_slice: Slice, page: int) -> list[PlayRow]:
        reading[page] += 1
        moved = row("m099", 901 + sum(reading.values()))
        others = [each for each in service.rows[slice_] if each.media_id not in {"m099", "m100"}]
        return [*others[:99], moved] if page == 1 else [moved, *others[99:]]

    service.pages = moving
    poller = service.poller()

    report = await poller.poll(query(everything))

    assert report.result is PollResult.PARTIAL
    assert poller.snapshot.slices[slice_].record("m100") is None


@pytest.mark.parametrize("media", [everything, top(5)], ids=["all", "top"])
async def test_a_row_without_media_id_counts_once_and_makes_no_media_a_zero(media: Media) -> None:
    service = FakeService()
    slice_ = service.put([row("a", 5), row("b", 4)])
    service.totals[slice_] = 3
    page = service.page

    async def skipping(*args: object, **kwargs: object) -> Page:
        return replace(await page(*args, **kwargs), skipped=1)  # type: ignore[arg-type]

    service.page = skipping  # type: ignore[method-assign]

    poller, reports, calls = await polls(service, media, most=3)

    assert [report.result for report in reports] == [PollResult.SUCCESS] * 3
    assert calls == [1, 1, 1]
    assert published_slice(poller, media, service.now).settled
    assert poller.snapshot.slices[slice_].record("unknown") is None
    assert service.now > NOON


@pytest.mark.parametrize("last", [0, 7, 499])
async def test_a_total_below_the_rows_already_read_ends_no_listing(last: int) -> None:
    """Otherwise a service that returns nothing beyond page 5 would settle the day without the other media."""

    class Shallow(FakeService):
        async def page(
            self,
            slice_: Slice,
            *,
            page: int,
            page_size: int,
            media_id: str | None = None,
            order_by: Measure | None = None,
        ) -> Page:
            found = await super().page(slice_, page=page, page_size=page_size, media_id=media_id, order_by=order_by)
            return found if page <= 5 else Page((), last, "R")

    service = Shallow()
    service.put([row(f"m{number:04}", 5_000 - number) for number in range(800)])

    poller, reports, _ = await polls(service, everything, most=4)

    shown = published_slice(poller, everything, service.now)
    assert {report.result for report in reports} == {PollResult.PARTIAL}
    assert (shown.total, len(shown.rows), shown.settled) == (800, 500, False)
