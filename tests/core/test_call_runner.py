from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest

from exporter.core.call_planner import CallPlanner
from exporter.core.call_runner import run_calls
from exporter.core.model import Page, Slice
from exporter.core.plan import FetchPlan
from exporter.core.poll_report import PollResult
from exporter.errors import ErrorKind
from tests.core.fake_service import (
    ALL,
    YESTERDAY,
    FakeService,
    everything,
    failure,
    ids,
    not_ready,
    query,
    rows,
)

SLICE = Slice("main", ALL, YESTERDAY)


@dataclass
class Slow(FakeService):
    """Responds page by page when the test says so."""

    max_in_flight: int = 4
    waiting: dict[int, asyncio.Future[None]] = field(default_factory=dict)
    cancelled: list[int] = field(default_factory=list)

    async def page(self, slice_: Slice, *, page: int, **request: object) -> Page:
        self.waiting[page] = asyncio.get_running_loop().create_future()
        try:
            await self.waiting[page]
        except asyncio.CancelledError:
            self.cancelled.append(page)
            raise
        finally:
            del self.waiting[page]
        return await super().page(slice_, page=page, **request)  # type: ignore[arg-type]

    async def respond(self, *pages: int) -> None:
        for page in pages:
            self.waiting[page].set_result(None)
            for _ in range(5):
                await asyncio.sleep(0)


class Immediate(FakeService):
    """Responds without suspending its caller."""

    async def page(self, slice_: Slice, *, page: int, page_size: int, **_: object) -> Page:
        found = self.rows[slice_]
        return Page(tuple(found[(page - 1) * page_size : page * page_size]), len(found), "")


def start(service: Slow) -> tuple[asyncio.Task[int], CallPlanner]:
    planner = CallPlanner(FetchPlan(everything=True), None, service.max_in_flight)
    return asyncio.ensure_future(run_calls(service, SLICE, planner)), planner


async def let_tasks_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_response_may_come_before_other_calls_have_begun() -> None:
    service = Immediate()
    service.put(rows(1_000))
    planner = CallPlanner(FetchPlan(everything=True), None, service.max_in_flight)

    assert await run_calls(service, SLICE, planner) == 10
    assert len(planner.observation(0.0).rows) == 1_000


async def test_after_the_first_page_max_in_flight_calls_run() -> None:
    service = Slow()
    service.put(rows(1_000))
    running, planner = start(service)
    await let_tasks_run()
    assert list(service.waiting) == [1]

    await service.respond(1)
    assert list(service.waiting) == [2, 3, 4, 5]

    await service.respond(3, 2)
    assert list(service.waiting) == [4, 5, 6, 7]

    await service.respond(7, 5, 6, 4, 8, 9, 10)
    assert await running == 10
    assert planner.observation(1.0).rows.keys() == {r.media_id for r in rows(1_000)}


async def test_calls_beyond_the_end_are_cancelled() -> None:
    service = Slow()
    slice_ = service.put(rows(1_000))
    running, planner = start(service)
    await let_tasks_run()
    await service.respond(1)
    service.rows[slice_] = rows(150)

    await service.respond(2)

    assert await running == 5
    assert (sorted(service.cancelled), service.waiting) == ([3, 4, 5], {})
    assert planner.observation(1.0).listed


async def test_a_page_that_fails_early_ends_the_search_once_those_before_it_are_read() -> None:
    service = Slow(refuse=lambda _slice, _media, page: failure() if page == 3 else None)
    service.put(rows(1_000))
    running, planner = start(service)
    await let_tasks_run()
    await service.respond(1)

    await service.respond(3)
    assert list(service.waiting) == [2, 4, 5], "no other page is requested"
    assert planner.in_flight == 3

    await service.respond(2)
    assert await running == 5
    assert sorted(service.cancelled) == [4, 5]
    assert planner.aborted
    assert len(planner.errors) == 1


@pytest.mark.parametrize("error", [failure(ErrorKind.AUTH, "Meter.AuthError"), not_ready()])
async def test_an_error_that_aborts_the_slice_cancels_all_calls(error: Exception) -> None:
    service = Slow(refuse=lambda _slice, _media, page: error if page == 4 else None)  # type: ignore[arg-type,return-value]
    service.put(rows(1_000))
    running, planner = start(service)
    await let_tasks_run()
    await service.respond(1, 4)

    assert await running == 5
    assert sorted(service.cancelled) == [2, 3, 5]
    assert planner.errors == [error]


async def test_a_cancelled_poll_leaves_no_call_running() -> None:
    service = Slow()
    service.put(rows(1_000))
    running, _ = start(service)
    await let_tasks_run()
    await service.respond(1)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert sorted(service.cancelled) == [2, 3, 4, 5]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_unexpected_exception_is_raised() -> None:
    service = Slow()
    service.put(rows(1_000))
    running, _ = start(service)
    await let_tasks_run()
    await service.respond(1)

    service.waiting[3].set_exception(ZeroDivisionError())
    with pytest.raises(ExceptionGroup):
        await running

    assert sorted(service.cancelled) == [2, 4, 5]


@pytest.mark.parametrize("max_in_flight", [1, 2, 8])
@pytest.mark.parametrize("media", [0, 1, 100, 101, 950])
async def test_each_page_is_requested_once_at_any_concurrency(media: int, max_in_flight: int) -> None:
    service = FakeService(max_in_flight=max_in_flight)
    service.put(rows(media))

    report = await service.poller().poll(query(everything))

    assert report.result is PollResult.SUCCESS
    pages = max(1, -(-media // 100))
    assert Counter(page for *_, page in service.calls) == Counter(range(1, pages + 1))


async def test_a_slice_whose_first_media_is_refused_costs_one_call() -> None:
    service = FakeService(max_in_flight=8, refuse=lambda *_: failure(ErrorKind.AUTH, "Meter.AuthError"))

    await service.poller().poll(query(ids("a", "b")))

    assert len(service.calls) == 1
