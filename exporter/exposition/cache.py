"""The exposition of this instant: rendered when something was learnt or a day began, not when it is scraped."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from exporter.core.publication_builder import PublicationBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.model import Snapshot
    from exporter.core.publication import Publication, PublicationRules

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class PublicationRenderer(Protocol[T_co]):
    """Turns a publication into what is served; called in a thread, one call at a time."""

    def render(self, publication: Publication) -> T_co:
        """The exposition."""
        ...


@dataclass(frozen=True, slots=True)
class _Rendered(Generic[T]):
    """An exposition and what it was rendered from."""

    snapshot: Snapshot
    rules: PublicationRules
    publication: Publication
    rendered: T


class ExpositionCache(Generic[T]):
    """Holds the last exposition and renders again when it is not right any more.

    A publication is right until something new is learnt, a day begins or something gets stale. Whoever asks first
    after that waits for the new one; the old one, with its days gone by, is never given out again.
    """

    def __init__(
        self,
        renderer: PublicationRenderer[T],
        rules: PublicationRules,
        *,
        snapshot: Callable[[], Snapshot],
        published: Callable[[int, int], None],
        now: Callable[[], float],
    ) -> None:
        self._builder = PublicationBuilder()
        self._renderer = renderer
        self._rules = rules
        self._snapshot = snapshot
        self._published = published
        self._now = now
        self._rendering = asyncio.Lock()
        self._current: _Rendered[T] | None = None

    async def get(self) -> T:
        """The exposition of this instant."""
        return (await self._if_valid()).rendered

    async def source(self) -> tuple[Snapshot, PublicationRules, Publication]:
        """What the exposition of this instant was rendered from."""
        current = await self._if_valid()
        return current.snapshot, current.rules, current.publication

    async def _if_valid(self) -> _Rendered[T]:
        if (current := self._current) is None or not self._right(current):
            async with self._rendering:
                if (current := self._current) is None or not self._right(current):
                    current = await self._render()
                    while not self._in_time(current):  # the day ended while it was rendered
                        current = await self._render()
        return current

    def reconfigure(self, rules: PublicationRules) -> None:
        """Publish by these rules from now on."""
        if rules != self._rules:
            self._rules = rules

    async def _render(self) -> _Rendered[T]:
        snapshot, rules = self._snapshot(), self._rules

        def render() -> _Rendered[T]:
            publication = self._builder.publish(snapshot, rules, self._now())
            return _Rendered(snapshot, rules, publication, self._renderer.render(publication))

        rendering = asyncio.ensure_future(asyncio.to_thread(render))
        try:
            shown = self._current = await asyncio.shield(rendering)
        except asyncio.CancelledError:
            # A thread cannot be stopped, and the renderer must not meet itself.
            await asyncio.wait({rendering})
            raise
        self._published(shown.publication.series, shown.publication.dropped)
        return shown

    def _right(self, shown: _Rendered[T]) -> bool:
        return shown.snapshot is self._snapshot() and shown.rules is self._rules and self._in_time(shown)

    def _in_time(self, shown: _Rendered[T]) -> bool:
        return shown.publication.valid_from <= self._now() < shown.publication.valid_until
