"""The exposition that is valid now: rendered when data changed or a day began, not on each scrape."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from exporter.core.publication_builder import PublicationBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.model import Snapshot
    from exporter.core.publication import Publication, PublicationRules

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Rendered(Generic[T]):
    """An exposition and the data it was rendered from."""

    snapshot: Snapshot
    rules: PublicationRules
    publication: Publication
    rendered: T


class ExpositionCache(Generic[T]):
    """Caches the last exposition and renders a new one when that is no longer valid.

    A publication is valid until data or rules change, a day begins or data gets stale. The first scrape after that
    waits for the new exposition; an expired one is never served. `render` is called in a worker thread, one at a time.
    """

    def __init__(
        self,
        render: Callable[[Publication], T],
        rules: PublicationRules,
        *,
        snapshot: Callable[[], Snapshot],
        published: Callable[[int, int], None],
        now: Callable[[], float],
    ) -> None:
        self._builder = PublicationBuilder()
        self._render_publication = render
        self._rules = rules
        self._snapshot = snapshot
        self._published = published
        self._now = now
        self._rendering = asyncio.Lock()
        self._current: _Rendered[T] | None = None

    async def get(self) -> T:
        """The exposition that is valid now."""
        return (await self._valid()).rendered

    async def refresh(self) -> None:
        """Render a new exposition if the last one is no longer valid, so that the next scrape does not wait."""
        await self._valid()

    async def source(self) -> tuple[Snapshot, PublicationRules, Publication]:
        """The snapshot, rules and publication behind the exposition that is valid now."""
        current = await self._valid()
        return current.snapshot, current.rules, current.publication

    async def _valid(self) -> _Rendered[T]:
        if (current := self._current) is None or not self._is_valid(current):
            async with self._rendering:
                if (current := self._current) is None or not self._is_valid(current):
                    current = await self._render()
                    while not self._is_current(current):  # the day ended during rendering
                        current = await self._render()
        return current

    def reconfigure(self, rules: PublicationRules) -> None:
        """Apply these rules from the next scrape on."""
        if rules != self._rules:
            self._rules = rules

    async def _render(self) -> _Rendered[T]:
        snapshot, rules = self._snapshot(), self._rules

        def render() -> _Rendered[T]:
            publication = self._builder.publish(snapshot, rules, self._now())
            return _Rendered(snapshot, rules, publication, self._render_publication(publication))

        rendering = asyncio.ensure_future(asyncio.to_thread(render))
        try:
            entry = self._current = await asyncio.shield(rendering)
        except asyncio.CancelledError:
            # A thread cannot be cancelled, and the renderer must not run twice at the same time.
            await asyncio.wait({rendering})
            raise
        self._published(entry.publication.series, entry.publication.dropped)
        return entry

    def _is_valid(self, entry: _Rendered[T]) -> bool:
        return entry.snapshot is self._snapshot() and entry.rules is self._rules and self._is_current(entry)

    def _is_current(self, entry: _Rendered[T]) -> bool:
        return entry.publication.valid_from <= self._now() < entry.publication.valid_until
