"""The exposition of this instant: rendered when something was learnt or a day began, not when it is scraped."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from exporter.core.publication_builder import Publishing

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.model import Snapshot
    from exporter.core.publication import Publication, Rules

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Renders(Protocol[T_co]):
    """Turns a publication into what is served; called in a thread, one call at a time."""

    def render(self, publication: Publication) -> T_co:
        """The exposition."""
        ...


@dataclass(frozen=True, slots=True)
class _Shown(Generic[T]):
    """An exposition and what it was rendered from."""

    snapshot: Snapshot
    rules: Rules
    publication: Publication
    rendered: T


class Publisher(Generic[T]):
    """Holds the last exposition and renders again when it is not right any more.

    A publication is right until something new is learnt, a day begins or something gets stale. Whoever asks first
    after that waits for the new one; the old one, with its days gone by, is never given out again.
    """

    def __init__(
        self,
        renderer: Renders[T],
        rules: Rules,
        *,
        snapshot: Callable[[], Snapshot],
        published: Callable[[int, int], None],
        now: Callable[[], float],
    ) -> None:
        self._publishing = Publishing()
        self._renderer = renderer
        self._rules = rules
        self._snapshot = snapshot
        self._published = published
        self._now = now
        self._rendering = asyncio.Lock()
        self._current: _Shown[T] | None = None

    async def current(self) -> T:
        """The exposition of this instant."""
        return (await self._right_now()).rendered

    async def shown(self) -> tuple[Snapshot, Rules, Publication]:
        """What the exposition of this instant was rendered from."""
        current = await self._right_now()
        return current.snapshot, current.rules, current.publication

    async def _right_now(self) -> _Shown[T]:
        if (current := self._current) is None or not self._right(current):
            async with self._rendering:
                if (current := self._current) is None or not self._right(current):
                    current = await self._render()
                    while not self._in_time(current):  # the day ended while it was rendered
                        current = await self._render()
        return current

    def follow(self, rules: Rules) -> None:
        """Publish by these rules from now on."""
        if rules != self._rules:
            self._rules = rules

    async def _render(self) -> _Shown[T]:
        snapshot, rules = self._snapshot(), self._rules

        def render() -> _Shown[T]:
            publication = self._publishing.publish(snapshot, rules, self._now())
            return _Shown(snapshot, rules, publication, self._renderer.render(publication))

        rendering = asyncio.ensure_future(asyncio.to_thread(render))
        try:
            shown = self._current = await asyncio.shield(rendering)
        except asyncio.CancelledError:
            # A thread cannot be stopped, and the renderer must not meet itself.
            await asyncio.wait({rendering})
            raise
        self._published(shown.publication.series, shown.publication.dropped)
        return shown

    def _right(self, shown: _Shown[T]) -> bool:
        return shown.snapshot is self._snapshot() and shown.rules is self._rules and self._in_time(shown)

    def _in_time(self, shown: _Shown[T]) -> bool:
        return shown.publication.valid_from <= self._now() < shown.publication.valid_until
