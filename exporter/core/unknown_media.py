"""Finds configured media IDs that were requested and never returned with a row: mistyped, or not played yet."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from exporter.core.model import ByIds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.model import Query, SliceData


class UnknownMedia:
    """Tracks which configured media IDs ever had a row, and which were requested and had none."""

    def __init__(self) -> None:
        self._played: dict[str, set[str]] = {}
        self._missing: dict[str, set[str]] = {}  # in queries and never with a row
        self._requested: dict[str, set[str]] = {}  # of these, those that were requested

    def set_queries(self, queries: Iterable[Query], known: Iterable[SliceData]) -> None:
        """Track the IDs of these queries from now on; `known` is all data so far."""
        configured: defaultdict[str, set[str]] = defaultdict(set)
        for query in queries:
            configured[query.account] |= listed_ids(query)
        self._played = {account: self._played.get(account, set()) & ids for account, ids in configured.items()}
        self._missing = {account: ids - self._played[account] for account, ids in configured.items()}
        self._requested = {account: self._requested.get(account, set()) & ids for account, ids in configured.items()}
        self.update(known)

    def update(self, changed: Iterable[SliceData]) -> None:
        """Update from slices that have changed; an ID that once had a row stays known."""
        for data in changed:
            account = data.slice.account
            for media_id in tuple(self._missing.get(account, ())):
                record = data.record(media_id)
                if record is None:
                    continue
                if record.row is None:
                    self._requested[account].add(media_id)
                else:
                    self._played[account].add(media_id)
                    self._missing[account].discard(media_id)
                    self._requested[account].discard(media_id)

    def of(self, query: Query) -> frozenset[str]:
        """The IDs of a query that were requested and never returned with a row."""
        return listed_ids(query) & self._requested.get(query.account, set())


def listed_ids(query: Query) -> frozenset[str]:
    """The media IDs in the configuration of a query; those that a search found exist."""
    return query.media.ids if isinstance(query.media, ByIds) and query.search is None else frozenset()
