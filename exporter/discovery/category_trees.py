"""The categories of accounts, which searches and metadata share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.core.media_details import CategoryTree
    from exporter.discovery.known_media import KnownMedia
    from exporter.vod.media_source import MediaSource


class CategoryTrees:
    """Reads the categories of an account again once they are old, and keeps them in `known`."""

    def __init__(self, known: KnownMedia, now: Callable[[], float]) -> None:
        self._known = known
        self._now = now
        self._read_at: dict[str, float] = {}

    async def current(self, account: str, source: MediaSource, every: float) -> CategoryTree:
        """The categories, requested again once they are older than half of `every` (seconds). Raises UpstreamError."""
        known, now = self._known.about(account).tree, self._now()
        if known is not None and 0 <= now - self._read_at.get(account, -every) < every / 2:
            return known
        tree = await source.categories(known)
        self._read_at[account] = self._now()
        if tree != known:
            await self._known.describe(account, tree=tree)
        return tree
