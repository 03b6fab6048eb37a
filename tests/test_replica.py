from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.config.loader import loads
from exporter.core.sharding import Shard
from exporter.replica import replica_config, scale_limits

if TYPE_CHECKING:
    from exporter.config.accounts import AccountSettings


def settings(*texts: str) -> tuple[AccountSettings, ...]:
    accounts = "".join(f"  - {{{text}}}\n" for text in texts)
    text = f"accounts:\n{accounts}queries: [{{name: q, media: all, account: a}}]"
    return loads(text, file="", environ={}).accounts


@pytest.mark.parametrize(
    ("part", "expected"),
    [(1.0, (5.0, 4, 100)), (0.5, (2.5, 2, 50)), (0.1, (0.5, 1, 10)), (0.0, (0.001, 1, 1))],
)
def test_a_part_of_a_limit_never_becomes_no_limit(part: float, expected: tuple[float, int, int]) -> None:
    given = settings("name: a, limits: {calls_per_day: 100}", "name: b")
    limited, unlimited = (account.limits for account in scale_limits(given, {"a": part, "b": part}))

    assert (limited.requests_per_second, limited.concurrency, limited.calls_per_day) == pytest.approx(expected)
    assert unlimited.calls_per_day == 0


def test_an_account_that_no_query_names_keeps_its_limits() -> None:
    given = settings("name: a")
    assert scale_limits(given, {}) == given


def test_all_replicas_together_do_everything_once_and_share_the_limits() -> None:
    text = """
queries: [{name: q, media: all, dimensions: [{}, {os: [Android, iOS, Windows]}], days_ago: 1}]
accounts: [{name: main, limits: {requests_per_second: 8}}]
"""
    config = loads(text, file="", environ={})
    replicas = [replica_config(config, Shard(number, 2)) for number in range(2)]

    polled = [dimensions for replica in replicas for query in replica.queries for dimensions in query.dimensions]
    assert sorted(polled, key=repr) == sorted(config.core_queries()[0].dimensions, key=repr)
    assert sum(replica.accounts[0].limits.requests_per_second for replica in replicas) == pytest.approx(8)
    assert all(replica.rules.queries == replica.queries for replica in replicas)
    assert all(replica.config.accounts[0].limits.requests_per_second == 8 for replica in replicas)


def test_what_is_done_once_for_an_account_is_done_by_a_replica_that_polls_it() -> None:
    names = "abcdefgh"
    accounts, queries, players = (
        ", ".join(entry.replace("NAME", each) for each in names)
        for entry in (
            "{name: NAME, metadata: {labels: [category]}}",
            "{name: NAME, media: all, account: NAME}",
            "{name: NAME, account: NAME}",
        )
    )
    text = f"accounts: [{accounts}]\nqueries: [{queries}]\nplayer: [{players}]"
    config = loads(text, file="", environ={})
    for number in range(3):
        replica = replica_config(config, Shard(number, 3))
        polled = {query.account for query in replica.queries if query.dimensions}
        assert 0 < len(polled) < len(names)
        assert set(replica.rules.category_accounts or ()) == polled
        assert replica.rules.metadata.keys() == polled
        assert {query.account for query in replica.player_queries} == polled


def test_players_of_an_account_without_queries_are_polled_by_one_replica() -> None:
    accounts = "accounts: [{name: a}, {name: b}]"
    text = f"{accounts}\nqueries: [{{name: q, media: all, account: a}}]\nplayer: [{{name: p, account: b}}]"
    config = loads(text, file="", environ={})
    assert sum(len(replica_config(config, Shard(number, 3)).player_queries) for number in range(3)) == 1
