"""Makes the calls of a search, as many at once as it says; knows no way to ask but the Protocol it needs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from exporter.core.call_planner import MediaRequest
from exporter.core.page_reader import PageRequest
from exporter.core.plan import PAGE_SIZE
from exporter.errors import ErrorKind, NotReady, RequestSkipped, UpstreamError

if TYPE_CHECKING:
    from exporter.core.call_planner import CallPlanner
    from exporter.core.model import Measure, Page, Slice


class PageSource(Protocol):
    """Where pages come from; one per account. Raises UpstreamError, after whatever repeating was worth it."""

    @property
    def max_in_flight(self) -> int:
        """How many calls may be under way at once; more would only wait."""
        ...

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        """One page of a slice: of one media, or ordered by a measure, most first."""
        ...


async def run_calls(source: PageSource, slice_: Slice, search: CallPlanner) -> int:
    """Make the calls of a search until it wants no more; how many were made.

    What the search does not need any more is cancelled, sent or not. No call outlives this one.
    """
    runner = _CallRunner(source, slice_, search)
    async with asyncio.TaskGroup() as group:
        runner.start_ready(group)
    return runner.calls


def aborts_slice(error: UpstreamError) -> bool:
    """Whether asking for the next media of the slice is pointless."""
    return isinstance(error, NotReady | RequestSkipped) or error.kind in {ErrorKind.AUTH, ErrorKind.CLOCK}


class _CallRunner:
    """The calls of one search that are under way; whoever has its answer makes the next call."""

    def __init__(self, source: PageSource, slice_: Slice, search: CallPlanner) -> None:
        self.calls = 0
        self._source = source
        self._slice = slice_
        self._planner = search
        self._in_flight: dict[asyncio.Task[None], MediaRequest | PageRequest] = {}

    def start_ready(self, group: asyncio.TaskGroup) -> None:
        """Make every call that can be made now."""
        while (asked := self._planner.next()) is not None:
            call = group.create_task(self._run(group, asked))
            self._in_flight[call] = asked

    async def _run(self, group: asyncio.TaskGroup, first: MediaRequest | PageRequest) -> None:
        me = asyncio.current_task()
        assert me is not None  # noqa: S101 - for mypy: a coroutine that runs has a task
        asked: MediaRequest | PageRequest | None = first
        while asked is not None:
            self.calls += 1
            self._in_flight[me] = asked
            try:
                answer = await self._request(asked)
            finally:
                self._in_flight.pop(me, None)
            self._report(asked, answer)
            asked = self._planner.next()
            self.start_ready(group)

    def _report(self, asked: MediaRequest | PageRequest, answer: Page | UpstreamError) -> None:
        if isinstance(answer, UpstreamError):
            self._planner.on_error(asked, answer, ends=aborts_slice(answer))
        else:
            self._planner.on_page(asked, answer)
        if self._planner.in_flight < len(self._in_flight):
            for call in [call for call, other in self._in_flight.items() if not self._planner.still_needed(other)]:
                del self._in_flight[call]
                call.cancel()

    async def _request(self, asked: MediaRequest | PageRequest) -> Page | UpstreamError:
        try:
            match asked:
                case MediaRequest(media_id):
                    return await self._source.page(self._slice, page=1, page_size=PAGE_SIZE, media_id=media_id)
                case PageRequest(by, number, size):
                    return await self._source.page(self._slice, page=number, page_size=size, order_by=by)
        except UpstreamError as error:
            return error
