"""Runs the planner's calls concurrently; depends only on the `PageSource` protocol."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from exporter.core.call_planner import MediaRequest
from exporter.core.page_reader import PageRequest
from exporter.core.plan import PAGE_SIZE
from exporter.errors import ErrorKind, NotReady, RequestSkipped, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from exporter.core.call_planner import CallPlanner
    from exporter.core.model import Measure, Page, Slice


class PageSource(Protocol):
    """Requests pages of one account."""

    @property
    def max_in_flight(self) -> int:
        """How many calls may be in flight; more would only wait."""
        ...

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        """One page (from 1) of a slice: of one video, or ordered by a measure, highest first.

        Raises UpstreamError once no further attempt is worth making.
        """
        ...


async def run_calls(source: PageSource, slice_: Slice, planner: CallPlanner) -> int:
    """Make the planner's calls until it has no more, and return how many were made.

    A call that the planner does not need any more is cancelled, whether sent or not. No call outlives this function.
    """
    runner = _CallRunner(source, slice_, planner)
    async with asyncio.TaskGroup() as group:
        runner.start_ready(group)
    return runner.calls


def aborts_slice(error: UpstreamError) -> bool:
    """Whether every other call for the same slice would fail too."""
    return isinstance(error, NotReady | RequestSkipped) or error.kind in {ErrorKind.AUTH, ErrorKind.CLOCK}


class _CallRunner:
    """The calls in flight of one planner; a task that has its response makes the next call."""

    def __init__(self, source: PageSource, slice_: Slice, planner: CallPlanner) -> None:
        self.calls = 0
        self._source = source
        self._slice = slice_
        self._planner = planner
        self._in_flight: dict[asyncio.Task[None], MediaRequest | PageRequest] = {}

    def start_ready(self, group: asyncio.TaskGroup) -> None:
        """Start every call that may run now."""
        while (request := self._planner.next()) is not None:
            task = group.create_task(self._run(group, request))
            self._in_flight[task] = request

    async def _run(self, group: asyncio.TaskGroup, first: MediaRequest | PageRequest) -> None:
        me = asyncio.current_task()
        assert me is not None  # noqa: S101 - for mypy: a coroutine that runs has a task
        request: MediaRequest | PageRequest | None = first
        while request is not None:
            self.calls += 1
            self._in_flight[me] = request
            try:
                try:
                    page = await self._page(request)
                finally:
                    self._in_flight.pop(me, None)
            except UpstreamError as error:
                self._planner.on_error(request, error, aborts_slice=aborts_slice(error))
            else:
                self._planner.on_page(request, page)
            self._cancel_unneeded()
            request = self._planner.next()
            self.start_ready(group)

    def _page(self, request: MediaRequest | PageRequest) -> Awaitable[Page]:
        match request:
            case MediaRequest(media_id):
                return self._source.page(self._slice, page=1, page_size=PAGE_SIZE, media_id=media_id)
            case PageRequest(by, number, size):
                return self._source.page(self._slice, page=number, page_size=size, order_by=by)

    def _cancel_unneeded(self) -> None:
        for task in [task for task, request in self._in_flight.items() if not self._planner.still_needed(request)]:
            del self._in_flight[task]
            task.cancel()
