"""Which part of the queries one of several replicas polls: a stable hash; knows nothing of the others."""

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
    """Of which media of an account a replica tells title and length: all or none, `but` for these."""

    all: bool
    but: frozenset[str] = frozenset()

    def __contains__(self, media_id: str) -> bool:
        """Whether it tells those of a media."""
        return (media_id in self.but) != self.all


@dataclass(frozen=True, slots=True)
class ShardAssignment:
    """What one replica does; all replicas together do everything, once.

    * `queries`: all of them, each with the dimensions that are this replica's; one that is left with none asks nothing.
    * `media_info_ownership`: by account, of which media it tells title and length.
    * `days_ago`: the days of which it tells the date.
    * `parts`: by account, how much of all that is asked for it asks for, from 0 to 1.
    """

    queries: tuple[Query, ...]
    media_info_ownership: Mapping[str, MediaInfoOwnership]
    days_ago: frozenset[int]
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `total` replicas with the same configuration, numbered from 0.

    What is divided are combinations of account and filters, with all their days: a day and the same weekday a week
    before, which alerts compare, come from the same replica, and stay there when midnight moves them on.
    """

    number: int = 0
    total: int = 1

    def share(self, queries: Iterable[Query]) -> ShardAssignment:
        """This replica's part of what is configured."""
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
            media_info_ownership={account: self._ownership(account, asked) for account, asked in by_account.items()},
            days_ago=frozenset(ago for query in queries for ago in query.days_ago if self._is_chosen(f"day {ago}")),
            parts={account: own[account] / whole[account] for account in whole},
        )

    def _ownership(self, account: str, queries: Iterable[Query]) -> MediaInfoOwnership:
        """A media that is played at all is most likely in what is filtered least: whoever has that describes it."""
        rest = False
        named: dict[str, bool] = {}
        asked = [(min(query.dimensions, key=_width), query.media) for query in queries]
        # The fewest filters last, as what comes last counts.
        for dimensions, media in sorted(asked, key=lambda each: _width(each[0]), reverse=True):
            mine = self._owns(account, dimensions)
            if isinstance(media, ByIds):
                named |= dict.fromkeys(media.ids, mine)
            else:
                rest = mine
                if isinstance(media, Everything) and dimensions == _NO_FILTER:
                    # Whatever is played, it lists: better than what is told of a name by some filters.
                    named.clear()
        return MediaInfoOwnership(rest, frozenset(media_id for media_id, mine in named.items() if mine != rest))

    def _owns(self, account: str, dimensions: Dimensions) -> bool:
        return self._is_chosen("\0".join((account, *_values(dimensions))))

    def _is_chosen(self, key: str) -> bool:
        """Rendezvous hashing: one replica more takes its part from all others, and they exchange nothing."""
        return max(range(self.total), key=lambda number: _weight(number, key)) == self.number


_NO_FILTER: Final = Dimensions()

WHOLE: Final = Shard()
"""The only replica, which does everything."""


def _values(dimensions: Dimensions) -> tuple[str, ...]:
    return tuple(value or "" for value in (dimensions.terminal_type, dimensions.os, dimensions.region))


def _width(dimensions: Dimensions) -> tuple[int, tuple[str, ...]]:
    """Fewest filters first, then the same order in every replica."""
    values = _values(dimensions)
    return sum(map(bool, values)), values


def _weight(number: int, key: str) -> bytes:
    """Not Python's own hash, which is another one in every process."""
    return hashlib.blake2b(f"{number}\0{key}".encode(), digest_size=8).digest()
