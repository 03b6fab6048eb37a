"""Divides the queries among replicas by a stable hash, without communication between them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.core.model import ByIds, Dimensions, Everything

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.model import Query


@dataclass(frozen=True, slots=True)
class MediaInfoOwnership:
    """The media of an account whose title and length a replica exports: all or none, except `but`."""

    all: bool
    but: frozenset[str] = frozenset()

    def __contains__(self, media_id: str) -> bool:
        """Whether the replica exports title and length of a video."""
        return (media_id in self.but) != self.all


@dataclass(frozen=True, slots=True)
class ShardAssignment:
    """The part of one replica; all replicas together do everything exactly once.

    * `queries`: all of them, each with this replica's dimensions only; one without any makes no calls.
    * `media_info_ownership`: by account, the media whose title and length it exports.
    * `days_ago`: the days whose date it exports.
    * `parts`: by account, its part of all polls of slices, from 0 to 1.
    * `category_accounts`: the accounts whose categories it exports.
    """

    queries: tuple[Query, ...]
    media_info_ownership: Mapping[str, MediaInfoOwnership]
    days_ago: frozenset[int]
    parts: Mapping[str, float]
    category_accounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `total` replicas with the same configuration, numbered from 0.

    Combinations of account and filters are assigned, with all their days: a day and the same weekday a week earlier,
    which alerts compare, come from the same replica, also after midnight.
    """

    number: int = 0
    total: int = 1

    def assign(self, queries: Iterable[Query]) -> ShardAssignment:
        """This replica's part of the configured queries."""
        queries = tuple(queries)
        by_account: defaultdict[str, list[Query]] = defaultdict(list)
        whole: defaultdict[str, float] = defaultdict(float)
        own: defaultdict[str, float] = defaultdict(float)
        shared = []
        for query in queries:
            by_account[query.account].append(query)
            mine = tuple(dimensions for dimensions in query.dimensions if self._owns(query.account, dimensions))
            shared.append(replace(query, dimensions=mine))
            whole[query.account] += len(query.dimensions) * len(query.days_ago) / query.every
            own[query.account] += len(mine) * len(query.days_ago) / query.every
        return ShardAssignment(
            queries=tuple(shared),
            media_info_ownership={
                account: self._ownership(account, configured) for account, configured in by_account.items()
            },
            days_ago=frozenset(ago for query in queries for ago in query.days_ago if self._is_assigned(f"day {ago}")),
            parts={account: own[account] / whole[account] for account in whole},
            category_accounts=frozenset(account for account in whole if self.is_home_of(account, queries)),
        )

    def is_home_of(self, account: str, queries: Iterable[Query]) -> bool:
        """Whether this replica does what is done once for an account; it has a part of the account's limits.

        It is the one that owns the combination with the fewest filters of these configured queries.
        """
        polled = (dimensions for query in queries if query.account == account for dimensions in query.dimensions)
        return self._owns(account, min(polled, key=_filter_order, default=_NO_FILTER))

    def _ownership(self, account: str, queries: Iterable[Query]) -> MediaInfoOwnership:
        """The replica with the fewest filters owns title and length: its slices are most likely to contain a video."""
        others = False
        named: dict[str, bool] = {}
        configured = [(min(query.dimensions, key=_filter_order), query.media) for query in queries]
        # The fewest filters last, because later entries override earlier ones.
        for dimensions, media in sorted(configured, key=lambda each: _filter_order(each[0]), reverse=True):
            mine = self._owns(account, dimensions)
            if isinstance(media, ByIds):
                named |= dict.fromkeys(media.ids, mine)
            else:
                others = mine
                if isinstance(media, Everything) and dimensions == _NO_FILTER:
                    # It lists every video with plays, so no other query is needed for them.
                    named.clear()
        return MediaInfoOwnership(others, frozenset(media_id for media_id, mine in named.items() if mine != others))

    def _owns(self, account: str, dimensions: Dimensions) -> bool:
        return self._is_assigned("\0".join((account, *_values(dimensions))))

    def _is_assigned(self, key: str) -> bool:
        """Rendezvous hashing: an additional replica takes its part from all others, which exchange nothing."""
        return max(range(self.total), key=lambda number: _weight(number, key)) == self.number


_NO_FILTER: Final = Dimensions()

WHOLE: Final = Shard()
"""The only replica, which does everything."""


def _values(dimensions: Dimensions) -> tuple[str, ...]:
    return tuple(value or "" for value in (dimensions.terminal_type, dimensions.os, dimensions.region))


def _filter_order(dimensions: Dimensions) -> tuple[int, tuple[str, ...]]:
    """Sort key: fewest filters first, then an order that is the same in every replica."""
    values = _values(dimensions)
    return sum(map(bool, values)), values


def _weight(number: int, key: str) -> bytes:
    """The weight of a replica for a key; not Python's `hash`, which differs between processes."""
    return hashlib.blake2b(f"{number}\0{key}".encode(), digest_size=8).digest()
