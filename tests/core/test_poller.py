from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.call_planner import GIVE_UP_AFTER
from exporter.core.media_details import AccountMetadata
from exporter.core.model import Dimensions, Measure, Media, Page, PlayRow, Query, Slice, SliceData, Snapshot
from exporter.core.plan import CLOCK_CORRECTION
from exporter.core.play_dates import Settlement
from exporter.core.poll_report import PollResult, SliceOutcome
from exporter.core.poller import INLINE_ROWS, Poller
from exporter.core.publication import PublicationRules
from exporter.core.publication_builder import publish
from exporter.errors import AccountPaused, CredentialsError, ErrorKind, QuotaExceeded, UpstreamError
from tests.core.fake_service import (
    ALL,
    NOON,
    TODAY,
    YESTERDAY,
    FakeService,
    everything,
    failure,
    ids,
    known_plays,
    not_ready,
    query,
    row,
    rows,
    top,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NATIVE = Dimensions(terminal_type="Native")


async def test_media_are_requested_by_id_and_one_without_a_row_is_a_zero() -> None:
    service = FakeService()
    slice_ = service.put([row("a", 7)])
    poller = service.poller()

    report = await poller.poll(query(ids("a", "b")))

    assert report.result is PollResult.SUCCESS
    assert [(media_id, page) for _, media_id, _, page in service.calls] == [("a", 1), ("b", 1)]
    assert known_plays(poller, slice_) == {"a": 7, "b": None}


@pytest.mark.parametrize(("media", "calls"), [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (250, 3)])
async def test_a_listing_reads_every_page_and_no_more(media: int, calls: int) -> None:
    service = FakeService()
    slice_ = service.put(rows(media))
    poller = service.poller()

    report = await poller.poll(query(everything))

    assert report.result is PollResult.SUCCESS
    assert [page for *_, page in service.calls] == list(range(1, calls + 1))
    assert {order for _, _, order, _ in service.calls} == {Measure.PLAYS}
    data = poller.snapshot.slices[slice_]
    assert (len(data.records), data.total, data.listed is not None) == (media, media, True)


@pytest.mark.parametrize(("n", "calls"), [(10, 1), (100, 1), (150, 2), (1000, 3)])
async def test_a_top_requests_only_the_pages_it_is_on(n: int, calls: int) -> None:
    service = FakeService()
    slice_ = service.put([row(f"m{i:03}", plays=i, play_duration=1000 - i) for i in range(250)])
    poller = service.poller()

    await poller.poll(query(top(n, Measure.PLAY_DURATION)))

    assert len(service.calls) == calls
    ranking = poller.snapshot.slices[slice_].ranking(top(n, Measure.PLAY_DURATION))
    assert ranking is not None
    assert ranking.media_ids == tuple(f"m{i:03}" for i in range(min(n, 250)))


async def test_rows_repeated_over_pages_are_kept_once_and_an_incomplete_listing_is_read_again() -> None:
    service = FakeService()
    slice_ = service.put(rows(150))
    drifting = {1: rows(100), 2: rows(50, start=99)}  # a row moved from page 2 to page 1 between the two calls
    service.pages = lambda _slice, page: drifting[page] if len(service.calls) <= 2 else None
    poller = service.poller()

    report = await poller.poll(query(everything))

    assert report.result is PollResult.SUCCESS
    assert [page for *_, page in service.calls] == [1, 2, 1, 2]
    assert set(known_plays(poller, slice_)) == {r.media_id for r in rows(150)}


async def test_a_listing_short_of_the_total_twice_is_incomplete_but_its_rows_are_kept() -> None:
    service = FakeService()
    slice_ = service.put(rows(3))
    service.totals[slice_] = 5
    poller = service.poller()

    report = await poller.poll(query(everything))

    assert report.result is PollResult.PARTIAL
    assert [outcome.short_by for outcome in report.outcomes] == [2]
    data = poller.snapshot.slices[slice_]
    assert data.listed is None
    assert data.updated_at is None
    assert data.record("not seen") is None
    assert len(known_plays(poller, slice_)) == 3


async def test_an_incomplete_listing_is_not_read_again_by_another_query_in_the_same_round() -> None:
    service = FakeService()
    service.totals[service.put(rows(3), TODAY)] = 5
    poller = service.poller()
    all_of_them = [query(everything, name, days_ago=(0,)) for name in ("one", "two", "three")]

    for _ in range(2):
        calls = len(service.calls)
        reports = [await poller.poll(polled) for polled in all_of_them]
        assert [report.result for report in reports] == [PollResult.PARTIAL] * 3
        assert [outcome for report in reports for outcome in report.outcomes] == [
            SliceOutcome(Slice("main", ALL, TODAY), answered=True, short_by=2)
        ] * 3
        assert len(service.calls) - calls == 2  # the second page is empty and would be again
        service.now += 900


async def test_an_incomplete_listing_is_read_again_after_the_clock_was_set_back() -> None:
    service = FakeService()
    service.totals[service.put(rows(3), TODAY)] = 5
    poller = service.poller()
    await poller.poll(query(everything, "one", days_ago=(0,)))

    service.now -= 3600
    for _ in range(2):
        calls = len(service.calls)
        await poller.poll(query(everything, "two", days_ago=(0,)))
        assert len(service.calls) > calls
        service.now += 900


async def test_an_incomplete_listing_does_not_prevent_the_refresh_of_a_top() -> None:
    service = FakeService()
    slice_ = service.put(rows(3), TODAY)
    service.totals[slice_] = 5
    poller = service.poller()
    top_query = query(top(1), "best", days_ago=(0,))
    await poller.poll(top_query)
    service.now += 800
    await poller.poll(query(everything, "all", days_ago=(0,)))
    service.now += 100
    service.rows[slice_] = [replace(r, plays=7) for r in rows(3)]

    await poller.poll(top_query)

    ranking = poller.snapshot.slices[slice_].ranking(top_query.media)  # type: ignore[arg-type]
    assert ranking is not None
    assert ranking.freshness.observed_at == service.now


async def test_a_top_is_known_even_if_the_listing_fails_later() -> None:
    service = FakeService()
    slice_ = service.put(rows(250))
    top_query, all_of_them = query(top(5), "best"), query(everything, "all")
    poller = service.poller(queries=(top_query, all_of_them))
    service.refuse = lambda _slice, _media, page: failure() if page == 2 else None

    assert (await poller.poll(top_query)).result is PollResult.SUCCESS

    ranking = poller.snapshot.slices[slice_].ranking(top_query.media)  # type: ignore[arg-type]
    assert ranking is not None
    assert ranking.media_ids == tuple(r.media_id for r in rows(5))


async def test_a_failed_media_is_requested_once_even_if_another_query_needs_more() -> None:
    service = FakeService()
    service.put(rows(3))
    mine, top_query = query(ids("seldom"), "mine"), query(top(2, Measure.PLAY_DURATION), "best")
    service.refuse = lambda _slice, media, _page: failure(ErrorKind.PARAMETER) if media else None
    service.totals[next(iter(service.rows))] = None

    await service.poller(queries=(mine, top_query)).poll(mine)

    assert [media_id for _, media_id, _, _ in service.calls].count("seldom") == 1


async def test_media_on_pages_before_a_failed_one_are_known_and_no_other_is_a_zero() -> None:
    service = FakeService()
    slice_ = service.put(rows(150))
    service.refuse = lambda _slice, _media, page: failure() if page == 2 else None
    poller = service.poller()
    mine = query(ids(*(r.media_id for r in rows(120))))

    report = await poller.poll(mine)

    assert report.result is PollResult.PARTIAL
    assert set(known_plays(poller, slice_)) == {r.media_id for r in rows(100)}
    assert poller.snapshot.slices[slice_].updated_at is None


@pytest.mark.parametrize("plays", [1, 10**6])  # on the last page, and on the first one, which was read
async def test_a_failed_listing_for_another_query_does_not_affect_this_one(plays: int) -> None:
    service = FakeService()
    slice_ = service.put([*rows(250), row("mine", plays)])
    mine, all_of_them = query(ids("mine"), "mine"), query(everything, "all", every=21_600.0)
    poller = service.poller(queries=(mine, all_of_them))
    service.refuse = lambda _slice, media, page: failure() if media is None and page == 2 else None

    assert (await poller.poll(mine)).result is PollResult.SUCCESS
    assert known_plays(poller, slice_) == {"mine": plays}
    assert len(service.calls) == len(set(service.calls)), "no page is read twice"
    assert (await poller.poll(all_of_them)).result is PollResult.PARTIAL

    service.now += 900
    calls = len(service.calls)
    assert (await poller.poll(mine)).result is PollResult.SUCCESS
    assert [media_id for _, media_id, _, _ in service.calls[calls:]] == ["mine"], "the other has failed and is not due"


async def test_without_a_total_rows_are_kept_but_nothing_is_a_zero() -> None:
    service = FakeService()
    slice_ = service.put(rows(120))
    service.totals[slice_] = None
    poller = service.poller()

    report = await poller.poll(query(everything))

    assert report.result is PollResult.SUCCESS
    data = poller.snapshot.slices[slice_]
    assert len(data.records) == 120
    assert data.record("not seen") is None
    assert data.total is None


async def test_a_total_that_is_too_low_does_not_end_the_listing() -> None:
    service = FakeService()
    slice_ = service.put(rows(230))
    service.totals[slice_] = 1
    poller = service.poller()

    await poller.poll(query(everything))

    assert len(known_plays(poller, slice_)) == 230


async def test_pages_shorter_than_requested_are_read_to_the_end() -> None:
    service = FakeService()
    slice_ = service.put(rows(50))
    service.pages = lambda _slice, page: rows(50)[(page - 1) * 20 : page * 20]
    poller = service.poller()

    report = await poller.poll(query(everything))

    assert report.result is PollResult.SUCCESS
    assert len(known_plays(poller, slice_)) == 50


async def test_a_result_set_without_end_is_malformed() -> None:
    service = FakeService()
    slice_ = service.put([])
    service.totals[slice_] = 10**12
    service.pages = lambda _slice, page: [row(f"x{page}")]
    poller = service.poller()

    report = await poller.poll(query(everything))

    assert report.result is PollResult.FAILURE
    assert [error.code for error in report.outcomes[0].errors] == ["malformed"]
    assert slice_ not in poller.snapshot.slices


async def test_a_failed_page_leaves_the_rest_of_the_slice_unchanged() -> None:
    service = FakeService()
    slice_ = service.put(rows(250))
    poller = service.poller()
    await poller.poll(query(everything))
    before = poller.snapshot.slices[slice_]
    service.rows[slice_] = [replace(r, plays=(r.plays or 0) + 1) for r in rows(250)]
    service.now += 900
    service.refuse = lambda _slice, _media, page: failure() if page == 2 else None

    report = await poller.poll(query(everything))

    after = poller.snapshot.slices[slice_]
    assert report.result is PollResult.PARTIAL
    assert known_plays(poller, slice_) == {
        r.media_id: (r.plays or 0) + (1 if number < 100 else 0) for number, r in enumerate(rows(250))
    }
    assert (after.updated_at, after.listed) == (before.updated_at, before.listed)


async def test_a_failed_first_page_leaves_the_slice_unchanged() -> None:
    service = FakeService()
    slice_ = service.put(rows(250))
    poller = service.poller()
    await poller.poll(query(everything))
    before = poller.snapshot.slices[slice_]
    service.now += 900
    service.refuse = lambda *_: failure()

    assert (await poller.poll(query(everything))).result is PollResult.FAILURE
    assert poller.snapshot.slices[slice_] is before


@pytest.mark.parametrize("media", [everything, ids(*(f"m{number}" for number in range(100)))], ids=["all", "ids"])
async def test_a_rejected_first_page_is_the_error_of_the_slice(media: Media) -> None:
    service = FakeService(refuse=lambda *_: failure(ErrorKind.PARAMETER, "Meter.ParamError"))

    report = await service.poller().poll(query(media))

    assert [str(error) for outcome in report.outcomes for error in outcome.errors] == ["it failed"]
    assert (report.result, len(service.calls)) == (PollResult.FAILURE, 1)


REFUSALS = [
    failure(ErrorKind.PARAMETER, "Meter.ParamError"),
    failure(ErrorKind.OTHER, "http_404"),
    failure(),
    failure(ErrorKind.MALFORMED, "malformed"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: error.code)
@pytest.mark.parametrize("media", [everything, top(800)], ids=["all", "top"])
async def test_rows_before_a_rejected_page_are_kept(media: Media, refusal: UpstreamError) -> None:
    service = FakeService()
    slice_ = service.put(rows(1000))
    service.refuse = lambda _slice, _media, page: refusal if page > 5 else None
    poller = service.poller()

    for _ in range(3):
        report = await poller.poll(query(media))
        service.now += 900

        assert report.result is PollResult.PARTIAL
        ((error,),) = [outcome.errors for outcome in report.outcomes]
        assert ("{top: 500, by: plays}" in error.advice) is (refusal.kind in {ErrorKind.PARAMETER, ErrorKind.OTHER})
        rules = PublicationRules((query(media),), stale_after=86_400.0, series_limit=10**6)
        (shown,) = publish(poller.snapshot, rules, service.now).slices
        assert set(shown.rows) == {r.media_id for r in rows(500)}
        assert (shown.settled, shown.updated_at, shown.total) == (False, None, 1000)
        assert poller.snapshot.slices[slice_].record("m0700") is None, "unknown: it may have plays"


@pytest.mark.parametrize("media", [everything, top(800)], ids=["all", "top"])
async def test_rows_before_a_rejected_page_are_kept_and_not_read_twice(
    media: Media,
) -> None:
    service = FakeService()
    slice_ = service.put(rows(1000))
    service.pages = lambda _slice, page: [] if page > 5 else None
    poller = service.poller()

    for _ in range(3):
        calls = len(service.calls)
        report = await poller.poll(query(media))
        service.now += 900

        assert report.result is PollResult.PARTIAL
        assert [outcome.short_by for outcome in report.outcomes] == [500 if media == everything else 300]
        assert len(service.calls) - calls <= 6 + service.max_in_flight
        data = poller.snapshot.slices[slice_]
        assert (len(data.records), data.listed, data.record("m0700")) == (500, None, None)


@pytest.mark.parametrize(
    "error", [failure(ErrorKind.AUTH, "Meter.AuthError"), not_ready()], ids=lambda error: error.code
)
async def test_rows_before_an_error_of_the_whole_slice_are_not_kept(error: UpstreamError) -> None:
    service = FakeService()
    slice_ = service.put(rows(1000))
    service.refuse = lambda _slice, _media, page: error if page > 5 else None
    poller = service.poller()

    await poller.poll(query(everything))

    data = poller.snapshot.slices.get(slice_)
    assert data is None or (not data.records and not data.ready)


@pytest.mark.parametrize("answered", [1, 5])
async def test_media_on_rejected_pages_are_requested_by_id(answered: int) -> None:
    service = FakeService()
    slice_ = service.put(rows(1000))
    service.refuse = lambda _slice, _media, page: failure(ErrorKind.PARAMETER) if page > answered else None
    poller = service.poller()
    wanted = [r.media_id for r in rows(1000)[::10]]

    report = await poller.poll(query(ids(*wanted, "never")))

    assert report.result is PollResult.SUCCESS
    assert set(known_plays(poller, slice_)) == {*wanted, "never"}
    assert known_plays(poller, slice_)["never"] is None


async def test_a_top_with_a_failed_page_keeps_its_previous_media_of_that_page() -> None:
    service = FakeService()
    slice_ = service.put(rows(250))
    poller = service.poller()
    top_query = query(top(150))
    await poller.poll(top_query)
    service.now += 900
    service.refuse = lambda _slice, _media, page: failure() if page == 2 else None

    assert (await poller.poll(top_query)).result is PollResult.PARTIAL

    ranking = poller.snapshot.slices[slice_].ranking(top(150))
    assert ranking is not None
    assert ranking.media_ids == tuple(r.media_id for r in rows(150))
    assert not ranking.freshness.settled


@pytest.mark.parametrize("left", [0, 40, 100, 130])
async def test_a_top_that_is_shorter_than_the_service_counts_keeps_its_previous_media(left: int) -> None:
    service = FakeService()
    slice_ = service.put(rows(250))
    poller = service.poller()
    top_query = query(top(150))
    await poller.poll(top_query)
    before = known_plays(poller, slice_)
    service.now += 900
    service.put(rows(250)[:left])
    service.totals[slice_] = 250

    assert (await poller.poll(top_query)).result is not PollResult.SUCCESS

    ranking = poller.snapshot.slices[slice_].ranking(top(150))
    assert ranking is not None
    assert ranking.media_ids == tuple(r.media_id for r in rows(150))
    assert not ranking.freshness.settled
    assert known_plays(poller, slice_) == before


async def test_a_failed_media_does_not_hide_others() -> None:
    service = FakeService()
    slice_ = service.put([*rows(1000), row("a", 1), row("b", 2), row("c", 3)])
    service.refuse = lambda _slice, media, _page: (
        failure(ErrorKind.PARAMETER, "Meter.ParamError") if media == "b" else None
    )
    poller = service.poller()

    report = await poller.poll(query(ids("a", "b", "c")))

    assert report.result is PollResult.PARTIAL
    assert known_plays(poller, slice_) == {"a": 1, "c": 3}
    assert poller.snapshot.slices[slice_].updated_at is None


async def test_a_slice_whose_media_keep_failing_is_left_to_the_next_poll() -> None:
    service = FakeService(refuse=lambda _slice, media, _page: failure() if media else None)
    service.put(rows(5000))
    poller = service.poller()

    report = await poller.poll(query(ids(*(f"seldom{i}" for i in range(20)))))

    assert report.result is PollResult.FAILURE
    assert len(service.calls) == 1 + GIVE_UP_AFTER  # the first page, then media by ID


async def test_an_authentication_error_ends_the_slice_at_once() -> None:
    service = FakeService(refuse=lambda *_: failure(ErrorKind.AUTH, "Meter.AuthError"))

    await service.poller().poll(query(ids("a", "b")))

    assert len(service.calls) == 1


async def test_an_empty_top_is_answered_though_a_video_of_another_query_fails() -> None:
    service = FakeService(refuse=lambda _slice, media_id, _page: failure() if media_id == "b" else None)
    own = query(top(5), "own")
    poller = service.poller(queries=(own, query(ids("a", "b"), "other")))
    service.totals[Slice("main", ALL, YESTERDAY)] = None

    assert (await poller.poll(own)).result is PollResult.PARTIAL


async def test_a_failed_slice_does_not_hide_others() -> None:
    service = FakeService()
    good = service.put([row("a")], dimensions=ALL)
    service.put([row("a")], dimensions=NATIVE)
    service.refuse = lambda slice_, _media, _page: failure() if slice_.dimensions == NATIVE else None
    poller = service.poller()

    report = await poller.poll(query(ids("a"), dimensions=(ALL, NATIVE)))

    assert report.result is PollResult.PARTIAL
    assert set(poller.snapshot.slices) == {good}


@pytest.mark.parametrize("media", [ids("a"), everything, top(5)])
async def test_not_ready_is_no_failure_and_keeps_known_data(media: object) -> None:
    service = FakeService()
    slice_ = service.put([row("a", 7)])
    poller = service.poller()
    polled = query(media)  # type: ignore[arg-type]
    await poller.poll(polled)
    service.now += 900
    service.refuse = lambda *_: not_ready()

    report = await poller.poll(polled)

    assert report.result is PollResult.SUCCESS
    assert [error.code for error in report.outcomes[0].errors] == ["Meter.ReadyTsError"]
    data = poller.snapshot.slices[slice_]
    assert (data.ready, data.updated_at, data.last_response_at) == (False, NOON, NOON + 900)
    assert known_plays(poller, slice_) == {"a": 7}

    service.refuse = lambda *_: None
    service.now += 900
    await poller.poll(polled)
    assert poller.snapshot.slices[slice_].ready


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (AccountPaused("paused", code="Meter.AuthError", kind=ErrorKind.AUTH), PollResult.SKIPPED),
        (QuotaExceeded("spent", code="budget", kind=ErrorKind.OTHER), PollResult.SKIPPED),
        (CredentialsError("no key", code="credentials", kind=ErrorKind.AUTH), PollResult.FAILURE),
        (failure(), PollResult.FAILURE),
    ],
)
async def test_a_poll_that_sent_nothing_on_purpose_is_skipped(error: UpstreamError, result: PollResult) -> None:
    service = FakeService(refuse=lambda *_: error)

    assert (await service.poller().poll(query(ids("a", "b")))).result is result
    assert len(service.calls) <= 2


async def test_two_queries_of_one_round_share_their_slices() -> None:
    service = FakeService()
    service.put(rows(120))
    poller = service.poller()
    first, second = query(everything, "first"), query(everything, "second")

    for _ in range(2):  # at the same moment, in two rounds
        await asyncio.gather(poller.poll(first), poller.poll(second))
        service.now += 900

    assert len(service.calls) == 2 * 2
    assert service.saved["shared"] == 2 * 2


async def test_data_of_another_query_is_used_while_younger_than_the_interval() -> None:
    service = FakeService()
    slice_ = service.put([row("a", 1)])
    poller = service.poller()
    slow, fast = query(ids("a"), "slow", every=3600.0), query(ids("a"), "fast", every=600.0)
    await poller.poll(slow)
    service.now += 300
    await poller.poll(fast)
    assert len(service.calls) == 1

    service.now += 600
    service.rows[slice_] = [row("a", 2)]
    await poller.poll(fast)
    assert len(service.calls) == 2
    assert known_plays(poller, slice_) == {"a": 2}

    service.now = NOON + 3600
    await poller.poll(slow)
    assert len(service.calls) == 2


async def test_media_of_a_complete_listing_are_not_requested() -> None:
    service = FakeService()
    service.put(rows(5))
    poller = service.poller()
    await poller.poll(query(everything, "all"))

    await poller.poll(query(ids("m0001", "without plays"), "some"))
    await poller.poll(query(top(2), "top"))

    assert len(service.calls) == 1
    assert service.saved["shared"] == 3


async def test_needs_of_several_queries_are_fetched_together_in_any_order() -> None:
    service = FakeService()
    service.put(rows(250))
    some, all_of_them = query(ids("m0001", "seldom", "never"), "some"), query(everything, "all")
    poller = service.poller(queries=(some, all_of_them))

    for polled in (some, all_of_them):
        assert (await poller.poll(polled)).result is PollResult.SUCCESS

    assert [page for *_, page in service.calls] == [1, 2, 3]


async def test_only_what_another_query_needs_soon_is_fetched_along() -> None:
    service = FakeService()
    service.put(rows(250), TODAY)
    often = query(ids("seldom"), "often", every=900.0, days_ago=(0,))
    seldom = query(everything, "seldom", every=3600.0, days_ago=(0,))
    poller = service.poller(queries=(often, seldom))
    calls = []
    for _ in range(5):
        before = len(service.calls)
        await poller.poll(often)
        calls.append(len(service.calls) - before)
        service.now += 890

    assert calls == [3, 1, 1, 1, 3]  # with the listing that is due within a minute


@pytest.mark.parametrize(
    ("every", "ago", "along"), [(300.0, 269, False), (300.0, 270, True), (3600.0, 3539, False), (3600.0, 3540, True)]
)
async def test_soon_is_a_tenth_of_the_interval_and_at_most_a_minute(every: float, ago: float, *, along: bool) -> None:
    service = FakeService()
    other = query(ids("b"), "other", every=every)
    poller = service.poller(queries=[other])
    await poller.poll(other)
    service.calls.clear()
    service.now += ago

    await poller.poll(query(ids("a"), "one"))

    assert sorted(media_id or "" for _, media_id, _, _ in service.calls) == (["a", "b"] if along else ["a"])


@pytest.mark.parametrize(("later", "along"), [(10, False), (-CLOCK_CORRECTION, False), (-CLOCK_CORRECTION - 1, True)])
async def test_needs_of_a_query_that_has_just_failed_are_left_to_it(later: float, *, along: bool) -> None:
    service = FakeService(refuse=lambda _slice, media, _page: failure() if media == "b" else None)
    other = query(ids("b"), "other")
    poller = service.poller(queries=[other])
    await poller.poll(other)
    service.calls.clear()
    service.now += later

    await poller.poll(query(ids("a"), "one"))

    assert ("b" in {media_id for _, media_id, _, _ in service.calls}) is along


async def test_the_total_of_another_day_decides_between_pages_and_ids() -> None:
    service = FakeService()
    service.put(rows(50), YESTERDAY)
    service.put(rows(50), date(2024, 3, 22))
    service.put(rows(50), TODAY)
    poller = service.poller()
    await poller.poll(query(everything, days_ago=(2,)))
    service.calls.clear()

    await poller.poll(query(ids("seldom", "never"), days_ago=(1,)))
    assert [media_id for _, media_id, _, _ in service.calls] == [None], "one page is fewer than two media"
    service.calls.clear()

    await poller.poll(query(ids("seldom", "never"), days_ago=(0,)))
    assert [media_id for _, media_id, _, _ in service.calls] == ["never", "seldom"], "today is another matter"


async def test_calls_that_pages_saved_are_counted() -> None:
    service = FakeService()
    service.put(rows(250))
    poller = service.poller()

    await poller.poll(query(ids(*(f"m{i:04}" for i in range(40)))))

    assert len(service.calls) == 1
    assert service.saved["sweep"] == 39


async def test_calls_for_another_query_reduce_the_saved_calls() -> None:
    service = FakeService(refuse=lambda *_: failure() if service.calls[-1][2] is Measure.PLAY_DURATION else None)
    service.put(rows(250))
    others = [query(top(100), "most played"), query(top(100, Measure.PLAY_DURATION), "longest")]
    media = [f"m{i:04}" for i in range(40)]

    await service.poller(queries=others).poll(query(ids(*media, "never")))

    assert [(order_by, media_id) for _, media_id, order_by, _ in service.calls] == [
        (Measure.PLAYS, None),
        (Measure.PLAY_DURATION, None),
        (None, "never"),
    ]
    assert service.saved["sweep"] == len(media) + 1 - 3


async def test_no_calls_are_saved_when_media_fail_or_each_is_requested() -> None:
    service = FakeService(refuse=lambda _slice, media, _page: failure() if media and "seldom" in media else None)
    service.put(rows(5_000))
    poller = service.poller()

    await poller.poll(query(ids(*(f"seldom{i}" for i in range(20))), "failing"))
    await poller.poll(query(ids("m0001"), "one"))

    assert service.saved["sweep"] == 0


async def test_media_that_moved_between_pages_are_requested_before_they_become_zeros() -> None:
    service = FakeService()
    slice_ = service.put(rows(150))
    service.pages = lambda _slice, page: {1: rows(100), 2: rows(50, start=99)}[page]  # m0149 is on no page
    poller = service.poller()

    report = await poller.poll(query(ids("m0149", *(f"m{i:04}" for i in range(60, 120)), "never")))

    assert report.result is PollResult.SUCCESS
    assert [media_id for _, media_id, _, _ in service.calls] == [None, None, "m0149", "never"]
    assert known_plays(poller, slice_)["m0149"] == 100_000 - 149
    assert known_plays(poller, slice_)["never"] is None


async def test_a_poll_publishes_nothing_before_it_ends() -> None:
    service = FakeService(gate=asyncio.Event())
    service.put(rows(3), YESTERDAY)
    service.put(rows(3), TODAY)
    assert service.gate
    poller = service.poller()
    poll = asyncio.ensure_future(poller.poll(query(everything, days_ago=(0, 1))))
    while len(service.calls) < 2:
        await asyncio.sleep(0)
    assert not poller.snapshot.slices

    service.gate.set()
    await poll
    assert {slice_.play_date for slice_ in poller.snapshot.slices} == {TODAY, YESTERDAY}


async def test_a_cancelled_poll_publishes_nothing_and_the_next_one_works() -> None:
    service = FakeService(gate=asyncio.Event())
    slice_ = service.put([row("a", 1)])
    assert service.gate
    poller = service.poller()
    poll = asyncio.ensure_future(poller.poll(query(ids("a"))))
    while not service.calls:
        await asyncio.sleep(0)

    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    assert not poller.snapshot.slices

    service.gate.set()
    await poller.poll(query(ids("a")))
    assert known_plays(poller, slice_) == {"a": 1}


@pytest.mark.parametrize("wrong", range(6))
async def test_one_clock_reading_years_ahead_deletes_nothing(wrong: int) -> None:
    service = FakeService()
    slice_ = service.put([row("a", 1)])
    readings = count(-100)  # a poll reads its clock fewer times
    poller = service.poller(now=lambda: service.now + (12 * 365 * 86_400 if next(readings) == wrong else 0))
    await poller.poll(query(everything))
    readings = count()

    await poller.poll(query(everything))

    assert next(readings) > wrong
    assert known_plays(poller, slice_) == {"a": 1}


async def test_old_days_are_deleted_only_after_a_successful_response() -> None:
    service = FakeService()
    slice_ = service.put([row("a", 1)])
    poller = service.poller()
    await poller.poll(query(everything))

    service.now += 40 * 86_400
    service.refuse = lambda *_: failure(ErrorKind.CLOCK, "InvalidTimeStamp.Expired")
    await poller.poll(query(everything))
    assert known_plays(poller, slice_) == {"a": 1}

    service.refuse = lambda *_: None
    await poller.poll(query(everything))
    assert slice_ not in poller.snapshot.slices


async def test_a_settled_slice_is_requested_again_only_for_media_it_lacks() -> None:
    service = FakeService()
    slice_ = service.put([row("a", 1), row("b", 2)])
    poller = service.poller()
    for _ in range(3):  # observed, and twice confirmed
        await poller.poll(query(ids("a")))
        service.now += 900
    assert poller.snapshot.slices[slice_].records["a"].freshness.settled
    service.calls.clear()

    await poller.poll(query(ids("a", "b")))

    assert [media_id for _, media_id, _, _ in service.calls] == ["b"]
    assert service.saved["settled"] == 1
    assert not poller.snapshot.slices[slice_].records["b"].freshness.settled


@pytest.mark.parametrize(("back", "again"), [(CLOCK_CORRECTION, False), (CLOCK_CORRECTION + 1, True)])
async def test_a_small_clock_correction_causes_no_new_reading(back: float, *, again: bool) -> None:
    service = FakeService()
    service.totals[service.put(rows(3), TODAY)] = 5
    poller = service.poller()
    await poller.poll(query(everything, "one", days_ago=(0,)))
    calls = len(service.calls)

    service.now -= back
    await poller.poll(query(everything, "two", days_ago=(0,)))

    assert (len(service.calls) > calls) is again


class OneDayWaits(FakeService):
    """Responses for the day before yesterday wait until the gate is open."""

    async def page(self, slice_: Slice, **request: Any) -> Page:
        if slice_.play_date < YESTERDAY and self.gate:
            await self.gate.wait()
        return await FakeService(now=self.now, rows=self.rows).page(slice_, **request)


async def test_a_poll_publishes_data_shared_with_a_poll_that_is_still_running() -> None:
    service = OneDayWaits(gate=asyncio.Event())
    slice_ = service.put([row("a", 7)])
    poller = service.poller()
    long = asyncio.create_task(poller.poll(query(ids("a"), "long", days_ago=(1, 2))))
    for _ in range(10):
        await asyncio.sleep(0)

    report = await poller.poll(query(ids("a"), "short", days_ago=(1,)))

    assert report.outcomes == (SliceOutcome(slice_, answered=True),)
    assert known_plays(poller, slice_) == {"a": 7}
    assert service.saved["shared"] == 1
    assert service.gate is not None
    service.gate.set()
    await long


async def test_a_day_is_kept_as_long_as_it_can_be_queried() -> None:
    service = FakeService()
    slice_ = service.put(rows(1))
    poller = service.poller()
    await poller.poll(query(everything))

    service.now += 29 * 86_400
    await poller.poll(query(everything, days_ago=(0,)))

    assert slice_ in poller.snapshot.slices
    calls = len(service.calls)
    await poller.poll(query(top(1), "another", days_ago=(30,), every=30 * 86_400.0))
    assert len(service.calls) == calls


async def test_days_too_old_to_be_queried_are_deleted() -> None:
    service = FakeService()
    service.put(rows(1))
    poller = service.poller()
    await poller.poll(query(everything))

    service.now += 31 * 86_400
    await poller.poll(query(everything, days_ago=(0,)))

    assert [slice_.play_date > TODAY for slice_ in poller.snapshot.slices] == [True]


def _refuse_some(refused: set[Dimensions], slice_: Slice, _media_id: str | None, _page: int) -> UpstreamError | None:
    return failure() if slice_.dimensions in refused else None


MEDIA_IDS = st.sampled_from([f"m{i}" for i in range(8)])
ROWS = st.builds(
    PlayRow,
    MEDIA_IDS,
    title=st.none() | st.just("t"),
    viewers=st.none() | st.integers(0, 9),
    plays=st.none() | st.integers(0, 9),
)
QUERIES = st.builds(
    query,
    st.builds(lambda some: ids(*some), st.sets(MEDIA_IDS, min_size=1)) | st.just(everything) | st.just(top(3)),
    name=st.sampled_from(["one", "two"]),
    dimensions=st.sampled_from([(ALL,), (ALL, NATIVE)]),
    days_ago=st.sampled_from([(0,), (1,), (0, 1)]),
)


@given(
    polls=st.lists(st.tuples(QUERIES, st.lists(ROWS, unique_by=lambda r: r.media_id), st.integers(0, 3)), max_size=6)
)
def test_every_known_row_was_returned_by_the_service_for_that_slice(
    polls: list[tuple[Query, list[PlayRow], int]],
) -> None:
    returned: dict[tuple[Slice, str], list[PlayRow | None]] = {}

    async def story() -> None:
        service = FakeService()
        poller = service.poller()
        for polled, found, failing in polls:
            for date_ in (TODAY, YESTERDAY):
                for dimensions in (ALL, NATIVE):
                    slice_ = service.put(found[failing:] if dimensions == NATIVE else found, date_, dimensions)
                    given_rows: dict[str, PlayRow | None] = {r.media_id: r for r in service.rows[slice_]}
                    for media_id in [f"m{i}" for i in range(8)]:
                        returned.setdefault((slice_, media_id), []).append(given_rows.get(media_id))
            refused = {NATIVE} if failing == 1 else {ALL} if failing == 2 else set()
            service.refuse = partial(_refuse_some, refused)
            before = len(service.calls)
            await poller.poll(polled)
            made = service.calls[before:]
            assert len(made) == len(set(made)), "a call made twice in a poll"
            service.now += 1000
            for slice_, data in poller.snapshot.slices.items():
                for media_id in [f"m{i}" for i in range(8)]:
                    record = data.record(media_id)
                    assert record is None or record.row in returned[slice_, media_id]

    asyncio.run(story())


async def test_a_new_settlement_applies_to_later_observations() -> None:
    service = FakeService()
    yesterday = service.put([row("a")])
    polled = query(everything)
    poller = service.poller(queries=[polled], settlement=Settlement(unchanged=5))
    for _ in range(3):
        await poller.poll(polled)
        service.now += 900
    assert not settled(poller, yesterday)

    poller.reconfigure([polled], {"main": service}, Settlement(unchanged=3))
    assert not settled(poller, yesterday)
    await poller.poll(polled)
    assert settled(poller, yesterday)

    poller.reconfigure([polled], {"main": service}, Settlement(unchanged=9))
    calls = len(service.calls)
    service.now += 900
    await poller.poll(polled)
    assert len(service.calls) == calls, "what is final stays final"


def settled(poller: Poller, slice_: Slice) -> bool:
    listed = poller.snapshot.slices[slice_].listed
    return listed is not None and listed.settled


async def test_old_days_that_were_never_known_or_never_polled_are_deleted_too() -> None:
    never_polled = SliceData(Slice("main", NATIVE, YESTERDAY))
    service = FakeService(refuse=lambda *_: failure())
    poller = service.poller(snapshot=Snapshot().updated([never_polled]))
    await poller.poll(query(ids("never known")))

    service.refuse = lambda *_: None
    service.now += 60 * 86_400
    report = await poller.poll(query(ids("a")))

    assert report.result is PollResult.SUCCESS
    assert [slice_.play_date for slice_ in poller.snapshot.slices] == [YESTERDAY + timedelta(days=60)]


async def test_a_report_contains_query_start_and_end() -> None:
    service = FakeService()
    polled = query(ids("a"))

    def five_seconds(*_: object) -> None:
        service.now += 5

    service.refuse = five_seconds

    report = await service.poller().poll(polled)

    assert (report.query, report.started_at, report.ended_at) == (polled, NOON, NOON + 5)


async def test_a_query_with_a_new_interval_still_refreshes_its_own_data() -> None:
    service = FakeService()
    polled = query(ids("a"))
    poller = service.poller(queries=[polled])
    await poller.poll(polled)
    service.now += 10

    rarer = replace(polled, every=3600.0)
    poller.reconfigure([query(ids("a"), "new", days_ago=(2,)), rarer], {"main": service}, Settlement())
    await poller.poll(rarer)

    assert len(service.calls) == 2


async def test_a_changed_query_fetches_what_is_not_known_yet() -> None:
    service = FakeService()
    polled = query(ids("a"))
    poller = service.poller(queries=[polled])
    await poller.poll(polled)
    service.now += 10

    more = query(ids("a", "b"))
    poller.reconfigure([more], {"main": service}, Settlement())
    await poller.poll(more)

    assert [media_id for _, media_id, _, _ in service.calls] == ["a", "b"]


async def calls_for(poller: Poller, service: FakeService, days_ago: int = 1) -> list[str | None]:
    """The calls that find two rarely played media of a day; None is a page."""
    service.calls.clear()
    await poller.poll(query(ids("seldom", "never"), "two", days_ago=(days_ago,)))
    return [media_id for _, media_id, _, _ in service.calls]


async def test_totals_from_before_a_restart_are_used() -> None:
    service = FakeService()
    service.put(rows(50), date(2024, 3, 22))
    before = service.poller()
    await before.poll(query(everything, days_ago=(2,)))

    assert await calls_for(service.poller(snapshot=before.snapshot), service) == [None]


async def test_the_total_of_today_is_not_used_for_other_days() -> None:
    service = FakeService()
    service.put(rows(50), TODAY)
    poller = service.poller()
    await poller.poll(query(everything, days_ago=(0,)))

    assert await calls_for(poller, service) == ["never", "seldom"]


async def test_the_own_total_of_a_slice_is_used_first() -> None:
    service = FakeService()
    service.put(rows(50), TODAY)
    poller = service.poller()
    await poller.poll(query(everything, days_ago=(0,)))
    service.now += 3600

    assert await calls_for(poller, service, days_ago=0) == [None]


async def test_the_total_of_the_newest_finished_day_is_used() -> None:
    service = FakeService()
    service.put(rows(50), date(2024, 3, 22))
    service.put(rows(5_000), date(2024, 3, 21))
    poller = service.poller()
    for ago in (2, 3):
        await poller.poll(query(everything, f"ago {ago}", days_ago=(ago,)))

    assert await calls_for(poller, service) == [None]


class WatchedRow(PlayRow):
    """Records the threads in which it was compared."""

    compared: ClassVar[set[int]] = set()

    def __eq__(self, other: object) -> bool:
        self.compared.add(get_ident())
        return self is other

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(("media", "in_thread"), [(INLINE_ROWS, False), (INLINE_ROWS + 1, True)])
async def test_merging_many_rows_does_not_block_the_event_loop(media: int, in_thread: bool) -> None:  # noqa: FBT001 - parametrized
    service = FakeService()
    poller = service.poller()
    WatchedRow.compared.clear()
    for _ in range(2):
        service.put([WatchedRow(f"m{i:04}", plays=100_000 - i) for i in range(media)])
        await poller.poll(query(everything))

    assert len(known_plays(poller, Slice("main", ALL, YESTERDAY))) == media
    assert len(WatchedRow.compared) == 1
    assert (get_ident() not in WatchedRow.compared) is in_thread


async def test_large_merges_do_not_compete_with_the_event_loop_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[object] = []
    most = 0

    async def to_thread(work: Callable[..., SliceData], *arguments: object) -> SliceData:
        nonlocal most
        running.append(work)
        most = max(most, len(running))
        for _ in range(100):
            await asyncio.sleep(0)
        running.pop()
        return work(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    service = FakeService()
    for dimensions in (ALL, NATIVE):
        service.put(rows(INLINE_ROWS + 1), dimensions=dimensions)
    poller = service.poller()

    await poller.poll(query(everything, dimensions=(ALL, NATIVE)))

    assert [len(data.records) for data in poller.snapshot.slices.values()] == [INLINE_ROWS + 1] * 2
    assert most == 1


class CountingService(FakeService):
    """Records the maximum number of calls in flight."""

    in_flight = most = 0

    async def page(self, slice_: Slice, **request: Any) -> Page:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await super().page(slice_, **request)
        finally:
            self.in_flight -= 1


@pytest.mark.parametrize("max_in_flight", [1, 3])
async def test_max_in_flight_calls_of_the_account_run_concurrently(max_in_flight: int) -> None:
    service = CountingService(max_in_flight=max_in_flight)
    service.put(rows(900))

    await service.poller().poll(query(everything))

    assert service.most == max_in_flight


async def test_a_slice_that_was_never_ready_is_known_as_not_ready() -> None:
    service = FakeService(refuse=lambda *_: not_ready())
    poller = service.poller()

    await poller.poll(query(ids("a")))

    slice_ = Slice("main", ALL, YESTERDAY)
    assert poller.snapshot.slices == {slice_: SliceData(slice_, ready=False, last_response_at=NOON)}


class OneFails(FakeService):
    """Media `a` and `b`, of which `b` fails; each call takes a second."""

    def __init__(self) -> None:
        super().__init__()
        self.polled = query(ids("a", "b"), every=900.0)
        self.put([row("a"), row("b")])
        self.refuse = self._refuse

    def _refuse(self, _slice: Slice, media_id: str | None, _page: int) -> UpstreamError | None:
        self.now += 1
        return failure() if media_id == "b" else None

    async def requested(self, poller: Poller, later: float) -> list[str | None]:
        """The media that a poll requests so many seconds after NOON."""
        self.calls.clear()
        self.now = NOON + later
        await poller.poll(self.polled)
        return [media_id for _, media_id, *_ in self.calls]


@pytest.mark.parametrize(
    ("later", "requested"), [(1, ["b"]), (809, ["b"]), (810, ["a", "b"]), (855, ["a", "b"]), (900, ["a", "b"])]
)
async def test_a_poll_repeats_an_incomplete_one_until_a_tenth_before_the_next(later: int, requested: list[str]) -> None:
    service = OneFails()
    poller = service.poller(queries=(service.polled,))

    assert await service.requested(poller, 0) == ["a", "b"]
    assert await service.requested(poller, later) == requested


async def test_a_repeat_that_is_incomplete_is_repeated_too() -> None:
    service = OneFails()
    poller = service.poller(queries=(service.polled,))

    for later in (0, 60, 120, 900, 960):
        assert await service.requested(poller, later) == (["a", "b"] if later in {0, 900} else ["b"])


async def test_after_a_repeat_that_was_complete_the_next_poll_fetches_everything() -> None:
    service = OneFails()
    poller = service.poller(queries=(service.polled,))
    await service.requested(poller, 0)
    service.refuse = lambda *_: None
    assert await service.requested(poller, 60) == ["b"]

    assert await service.requested(poller, 700) == ["a", "b"]


async def test_a_repeat_counts_no_saved_calls_again() -> None:
    service = OneFails()
    poller = service.poller(queries=(service.polled,))
    await service.requested(poller, 0)
    service.saved.clear()

    await service.requested(poller, 60)

    assert not +service.saved


async def test_days_of_expected_plays_that_are_known_are_neither_reported_nor_counted_as_saved() -> None:
    service = FakeService(now=NOON - 7 * 3600)  # when the day before yesterday is not final for certain
    expecting = query(ids("a"), expected=True)
    poller = service.poller(queries=(expecting,))
    for days in range(1, 12):
        service.put([row("a")], TODAY - timedelta(days=days))
    first = await poller.poll(expecting)
    published = [outcome.slice.play_date for outcome in first.outcomes]
    assert len(published) > 1
    service.saved.clear()

    service.now += 60
    again = await poller.poll(replace(expecting, name="another"))

    assert [outcome.slice.play_date for outcome in again.outcomes] == [YESTERDAY]
    assert service.saved["settled"] == 0

    service.now += 900
    assert len((await poller.poll(expecting)).outcomes) > 1


async def test_days_that_only_expected_plays_need_save_no_calls() -> None:
    saved = []
    for expected in (False, True):
        service = FakeService()
        for days in range(1, 12):
            service.put([row("a"), row("b")], TODAY - timedelta(days=days))
        poller = service.poller()
        await poller.poll(query(ids("a"), expected=expected))
        service.now += 60
        await poller.poll(query(ids("a", "b"), "more", expected=expected))
        saved.append(+service.saved)
    assert saved[0] == saved[1]


async def test_an_unchanged_query_still_fetches_only_the_rest_after_a_reload() -> None:
    service = OneFails()
    poller = service.poller(queries=(service.polled,))
    await service.requested(poller, 0)

    poller.reconfigure((service.polled,), {"main": service}, Settlement())

    assert await service.requested(poller, 60) == ["b"]


async def test_media_that_a_search_has_found_are_fetched_along() -> None:
    service = FakeService()
    first, searching = query(ids("a"), "first"), query(ids(), "searching")
    poller = service.poller(queries=(first, searching))

    poller.set_queries(each for each in (first, replace(searching, media=ids("b"))))
    await poller.poll(first)

    assert [media_id for _, media_id, *_ in service.calls] == ["a", "b"]


async def test_metadata_are_published_with_what_is_known_of_plays() -> None:
    service = FakeService()
    service.put([row("a")])
    poller = service.poller()
    await poller.poll(query(ids("a")))
    slices = poller.snapshot.slices

    poller.set_metadata({"main": AccountMetadata(deleted=frozenset({"b"}))})

    assert poller.snapshot.metadata == {"main": AccountMetadata(deleted=frozenset({"b"}))}
    assert poller.snapshot.slices is slices
