"""The part of a configuration that one replica handles: queries to poll and publish, and a share of the limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from exporter.core.publication import PublicationRules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.config.accounts import AccountSettings, LimitSettings
    from exporter.config.schema import Config
    from exporter.core.media_details import FoundMedia, Search
    from exporter.core.model import Query
    from exporter.core.player_query import PlayerQuery
    from exporter.core.sharding import Shard

Found: TypeAlias = "Mapping[tuple[str, Search], FoundMedia]"
"""The media that searches have found, by account and search."""


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """This replica's part of a configuration, computed once whenever the configuration is read.

    `accounts` have this replica's part of the limits; those of `config` have the limits of all replicas together.
    """

    config: Config
    shard: Shard
    queries: tuple[Query, ...]
    accounts: tuple[AccountSettings, ...]
    rules: PublicationRules
    player_queries: tuple[PlayerQuery, ...] = ()


def replica_config(config: Config, shard: Shard, found: Found | None = None) -> ReplicaConfig:
    """The part of the configuration that this shard handles; searches are replaced by the media they have found."""
    queries = config.core_queries()
    assignment = shard.assign(query.with_found(found or {}) for query in queries)
    rules = PublicationRules(
        assignment.queries,
        config.stale_after,
        config.series_limit,
        media_info_ownership=assignment.media_info_ownership,
        days_ago=assignment.days_ago,
        metadata={
            each.name: each.metadata.core_rules()
            for each in config.accounts
            if each.metadata is not None and assignment.parts.get(each.name, 1.0)
        },
        category_accounts=assignment.category_accounts,
    )
    accounts = scale_limits(config.accounts, assignment.parts)
    player_queries = tuple(query for query in config.player_queries() if shard.is_home_of(query.account, queries))
    return ReplicaConfig(config, shard, assignment.queries, accounts, rules, player_queries)


def scale_limits(settings: Iterable[AccountSettings], parts: Mapping[str, float]) -> tuple[AccountSettings, ...]:
    """The accounts with `parts` (0 to 1, by account) of their limits, so that all replicas together stay within them.

    Each replica has at least one concurrent attempt, one call a day and one attempt in 1000 s. An account without
    queries keeps its limits.
    """
    return tuple(
        account.model_copy(update={"limits": _part(account.limits, parts.get(account.name, 1.0))})
        for account in settings
    )


def _part(limits: LimitSettings, part: float) -> LimitSettings:
    return limits.model_copy(
        update={
            "requests_per_second": max(0.001, limits.requests_per_second * part),
            "concurrency": max(1, int(limits.concurrency * part)),
            # 0 means unlimited, so a small part must not be rounded to it.
            "calls_per_day": max(1, int(limits.calls_per_day * part)) if limits.calls_per_day else 0,
        }
    )
