"""Makes the calls of a search, as many at once as it says; knows no way to ask but the Protocol it needs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from exporter.core.call_planner import AskMedia
from exporter.core.page_reader import AskPage
from exporter.core.plan import PAGE_SIZE
from exporter.errors import Kind, NotAsked, NotReady, UpstreamError

if TYPE_CHECKING:
    from exporter.core.call_planner import Search
    from exporter.core.model import Measure, Page, Slice


class Source(Protocol):
    """Where pages come from; one per account. Raises UpstreamError, after whatever repeating was worth it."""

    @property
    def at_once(self) -> int:
        """How many calls may be under way at once; more would only wait."""
        ...

    async def page(
        self, slice_: Slice, *, page: int, page_size: int, media_id: str | None = None, order_by: Measure | None = None
    ) -> Page:
        """One page of a slice: of one media, or ordered by a measure, most first."""
        ...


async def ask(source: Source, slice_: Slice, search: Search) -> int:
    """Make the calls of a search until it wants no more; how many were made.

    What the search does not need any more is cancelled, sent or not. No call outlives this one.
    """
    asking = _Asking(source, slice_, search)
    async with asyncio.TaskGroup() as group:
        asking.spread(group)
    return asking.calls


def ends_slice(error: UpstreamError) -> bool:
    """Whether asking for the next media of the slice is pointless."""
    return isinstance(error, NotReady | NotAsked) or error.kind in {Kind.AUTH, Kind.CLOCK}


class _Asking:
    """The calls of one search that are under way; whoever has its answer makes the next call."""

    def __init__(self, source: Source, slice_: Slice, search: Search) -> None:
        self.calls = 0
        self._source = source
        self._slice = slice_
        self._search = search
        self._under_way: dict[asyncio.Task[None], AskMedia | AskPage] = {}

    def spread(self, group: asyncio.TaskGroup) -> None:
        """Make every call that can be made now."""
        while (asked := self._search.next()) is not None:
            call = group.create_task(self._go_on(group, asked))
            self._under_way[call] = asked

    async def _go_on(self, group: asyncio.TaskGroup, first: AskMedia | AskPage) -> None:
        me = asyncio.current_task()
        assert me is not None  # noqa: S101 - for mypy: a coroutine that runs has a task
        asked: AskMedia | AskPage | None = first
        while asked is not None:
            self.calls += 1
            self._under_way[me] = asked
            try:
                answer = await self._answer(asked)
            finally:
                self._under_way.pop(me, None)
            self._tell(asked, answer)
            asked = self._search.next()
            self.spread(group)

    def _tell(self, asked: AskMedia | AskPage, answer: Page | UpstreamError) -> None:
        if isinstance(answer, UpstreamError):
            self._search.gave_up(asked, answer, ends=ends_slice(answer))
        else:
            self._search.heard(asked, answer)
        if self._search.awaited < len(self._under_way):
            for call in [call for call, other in self._under_way.items() if not self._search.needs(other)]:
                del self._under_way[call]
                call.cancel()

    async def _answer(self, asked: AskMedia | AskPage) -> Page | UpstreamError:
        try:
            match asked:
                case AskMedia(media_id):
                    return await self._source.page(self._slice, page=1, page_size=PAGE_SIZE, media_id=media_id)
                case AskPage(by, number, size):
                    return await self._source.page(self._slice, page=number, page_size=size, order_by=by)
        except UpstreamError as error:
            return error
