"""What a configuration costs, for `check-config`: calls and series of each query as a table, and limits exceeded."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Final
from unicodedata import east_asian_width

from exporter import stdio
from exporter.commands.setting_warnings import endpoint_warning
from exporter.core.cost import NOTHING, Cost, Estimate, cost, media_of, metadata_cost, search_cost
from exporter.core.player_query import calls_per_day, first_poll_calls, series

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.config.schema import Config
    from exporter.core.media_details import CategoryTree, MetadataRules
    from exporter.core.model import Dimensions, Query
    from exporter.core.play_dates import Settlement
    from exporter.core.player_query import PlayerQuery
    from exporter.replica import Found
    from exporter.storage.read_only import Examined

_HEADINGS: Final = ("account", "query", "slices", "calls, first poll", "calls, steady day", "series")
_SECONDS_PER_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Known:
    """What storage knows: media with plays on one day by account and filters, found media, categories by account."""

    totals: Mapping[tuple[str, Dimensions], int] = field(default_factory=dict)
    found: Found = field(default_factory=dict)
    trees: Mapping[str, CategoryTree] = field(default_factory=dict)

    @classmethod
    def of(cls, examined: Examined) -> Known:
        """The content of a storage file."""
        metadata = examined.media.metadata
        trees = {account: about.tree for account, about in metadata.items() if about.tree is not None}
        return cls(examined.totals, examined.media.found, trees)


@dataclass(frozen=True, slots=True)
class AccountCosts:
    """Costs by name, in the order of the file: of queries, their searches and metadata, and of players."""

    queries: Mapping[str, Cost]
    players: Mapping[str, Cost]


def config_costs(config: Config, known: Known) -> dict[str, AccountCosts]:
    """The costs of each account that a query or a player uses."""
    queries = [query.with_found(known.found) for query in config.core_queries()]
    players = config.player_queries()
    rules = {account.name: account.metadata.core_rules() for account in config.accounts if account.metadata is not None}
    costs: dict[str, AccountCosts] = {}
    for account in dict.fromkeys((*(query.account for query in queries), *(query.account for query in players))):
        own = [query for query in queries if query.account == account]
        totals = {dimensions: n for (owner, dimensions), n in known.totals.items() if owner == account}
        of_queries = _of_queries(own, config.settlement, totals, rules.get(account), known.trees.get(account))
        of_players = {query.name: _of_player(query) for query in players if query.account == account}
        costs[account] = AccountCosts(dict(of_queries), of_players)
    return costs


def _of_queries(
    queries: Sequence[Query],
    settlement: Settlement,
    totals: Mapping[Dimensions, int],
    rules: MetadataRules | None,
    tree: CategoryTree | None,
) -> Iterator[tuple[str, Cost]]:
    """The costs of the queries of an account, of each different search, and of metadata."""
    for query in queries:
        yield query.name, cost(query, settlement, totals)
    for search, query in {query.search: query for query in queries if query.search is not None}.items():
        yield f"{query.name} (search)", search_cost(search, media_of(query, totals), tree)
    if queries and rules is not None:
        listed = _sum(media_of(query, totals) for query in queries if query.search is None)
        found = _sum(media_of(query, totals) for query in queries if query.search is not None)
        yield "(metadata)", metadata_cost(rules, listed, found, tree)


def _of_player(query: PlayerQuery) -> Cost:
    """A target counts as a slice."""
    first, day, count = first_poll_calls(query), calls_per_day(query), series(query)
    return Cost(len(query.targets), Estimate(first, first), Estimate(day, day), Estimate(count, count))


def cost_table(costs: Mapping[str, AccountCosts]) -> str:
    """A line for each query, those of players included, and one for the total of each account."""
    lines: list[tuple[str, ...]] = [_HEADINGS]
    for account, by_name in costs.items():
        lines += [(account, name, *_figures(each)) for name, each in by_name.queries.items()]
        lines += [(account, f"player: {name}", *_figures(each)) for name, each in by_name.players.items()]
        lines.append((account, "(total)", *_figures(_total((*by_name.queries.values(), *by_name.players.values())))))
    return aligned(lines)


def aligned(lines: Sequence[tuple[str, ...]]) -> str:
    """Lines of cells as columns of a terminal, as standard output will write them."""
    lines = [tuple(stdio.as_encoded(sys.stdout, cell) for cell in line) for line in lines]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _width(text: str) -> int:
    """The columns of a text in a terminal: a Chinese character has two."""
    # Not rich's `cell_len`: this command does not import rich (`optional_imports`).
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def cost_warnings(config: Config, costs: Mapping[str, AccountCosts]) -> Iterator[str]:
    """Warnings about a valid configuration that will not work well: limits exceeded, endpoint unusual."""
    for account in config.accounts:
        if warning := endpoint_warning(account.endpoint):
            yield f"account {account.name}: {warning}"
        if account.name not in costs:
            yield f"account {account.name} is not used by any query"
            continue
        by_name = costs[account.name]
        steady = _total(by_name.queries.values()).steady_day
        calls = steady.low + _total(by_name.players.values()).steady_day.low
        if by_name.players and 0 < account.limits.calls_per_day < calls:
            yield (
                f"account {account.name}: a steady day takes {calls} calls with those of players, calls_per_day is"
                f" {account.limits.calls_per_day}: players get what play data leaves, and will pause. Poll fewer"
                " targets or metrics, or less often."
            )
        most = steady.low if steady.high is None else steady.high
        possible = account.limits.requests_per_second * _SECONDS_PER_DAY
        if account.limits.calls_per_day and most > account.limits.calls_per_day:
            yield (
                f"account {account.name}: a steady day takes {steady} calls, calls_per_day is"
                f" {account.limits.calls_per_day}: polling will pause. Poll less often, or fewer dimensions or days."
            )
        if most > possible:
            yield (
                f"account {account.name}: a steady day takes {steady} calls, requests_per_second allows"
                f" {possible:.0f}: polls will be skipped. Poll less often, or fewer dimensions or days."
            )
    published = _total(each for by_name in costs.values() for each in by_name.queries.values()).series
    if published.low > config.series_limit:
        yield f"{published} series, series_limit is {config.series_limit}: media with the fewest plays will be left out"


def _total(costs: Iterable[Cost]) -> Cost:
    summands = tuple(costs)
    return Cost(
        sum(each.slices for each in summands),
        _sum(each.first_poll for each in summands),
        _sum(each.steady_day for each in summands),
        _sum(each.series for each in summands),
    )


def _sum(estimates: Iterable[Estimate]) -> Estimate:
    return reduce(add, estimates, NOTHING)


def _figures(one: Cost) -> tuple[str, ...]:
    return str(one.slices), str(one.first_poll), str(one.steady_day), str(one.series)
