"""Which configured media IDs were asked for and never named by an answer: mistyped, or not played yet."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from exporter.core.model import ByIds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.core.model import Query, SliceData


class UnknownMedia:
    """Remembers the IDs that any answer has named, and those that an answer lacks; only IDs that queries list."""

    def __init__(self) -> None:
        self._named: dict[str, set[str]] = {}
        self._missing: dict[str, set[str]] = {}  # listed and not named
        self._unplayed: dict[str, set[str]] = {}  # of these, those that were asked for

    def follow(self, queries: Iterable[Query], known: Iterable[SliceData]) -> None:
        """Look for the IDs of these queries from now on; `known` is all that was learnt so far."""
        listed: defaultdict[str, set[str]] = defaultdict(set)
        for query in queries:
            listed[query.account] |= listed_ids(query)
        self._named = {account: self._named.get(account, set()) & ids for account, ids in listed.items()}
        self._missing = {account: ids - self._named[account] for account, ids in listed.items()}
        self._unplayed = {account: self._unplayed.get(account, set()) & ids for account, ids in listed.items()}
        self.update(known)

    def update(self, learnt: Iterable[SliceData]) -> None:
        """Take in slices that were learnt; an ID that was named once is looked for no more."""
        for data in learnt:
            account = data.slice.account
            for media_id in tuple(self._missing.get(account, ())):
                answer = data.answer(media_id)
                if answer is None:
                    continue
                if answer.row is None:
                    self._unplayed[account].add(media_id)
                else:
                    self._named[account].add(media_id)
                    self._missing[account].discard(media_id)
                    self._unplayed[account].discard(media_id)

    def of(self, query: Query) -> frozenset[str]:
        """The IDs of a query that were asked for and never named."""
        return listed_ids(query) & self._unplayed.get(query.account, set())


def listed_ids(query: Query) -> frozenset[str]:
    """The IDs that a query lists."""
    return query.media.ids if isinstance(query.media, ByIds) else frozenset()
