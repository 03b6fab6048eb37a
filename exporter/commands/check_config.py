"""Validate the configuration, then print its cost: slices, API calls and series per query."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Final

from exporter.commands.loop_signals import run_interruptible
from exporter.commands.setting_warnings import endpoint_warning, permission_warnings, setting_warnings
from exporter.commands.start_checks import StartCheckResult, check_start
from exporter.config.loader import load
from exporter.config.schema import schema_json
from exporter.core import play_dates
from exporter.core.cost import NOTHING, Cost, Estimate, cost, media_of, metadata_cost, search_cost
from exporter.core.player_query import calls_per_day, first_poll_calls, series
from exporter.documents.durations import to_text
from exporter.errors import ConfigError, FlagError, StartError, shown
from exporter.plurals import counted
from exporter.threads import run_in_daemon_thread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.config.schema import Config
    from exporter.core.media_details import CategoryTree
    from exporter.core.model import Dimensions
    from exporter.errors import ConfigProblem
    from exporter.replica import Found
    from exporter.storage.read_only import Examined

_HEADINGS: Final = ("account", "query", "slices", "calls, first poll", "calls, steady day", "series")
_ONLINE_HEADINGS: Final = ("account", "request", "result")
_SECONDS_PER_DAY: Final = 86_400
_WOULD_NOT_WORK: Final = 2


@dataclass(frozen=True, slots=True)
class Known:
    """What storage knows: media with plays on one day by account and filters, found media, categories by account."""

    totals: Mapping[tuple[str, Dimensions], int] = field(default_factory=dict)
    found: Found = field(default_factory=dict)
    trees: Mapping[str, CategoryTree] = field(default_factory=dict)


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the costs and warnings; exit status 2 when serve would not start, or a requested online check has errors.

    Raises ConfigError with every problem, and FlagError.
    """
    if arguments.schema:
        sys.stdout.write(schema_json() + "\n")
        return 0
    if arguments.online and arguments.syntax_only:
        raise FlagError("--online makes calls with the keys that --syntax-only does not need: leave one of them out")
    config = _read(arguments, environ)
    errors: list[str] = []
    known = Known()
    stored: tuple[str, ...] = ()
    if arguments.storage_path:
        from exporter.storage.read_only import examine  # noqa: PLC0415 - SQLite is imported only with --storage.path

        try:
            # Its file system may not respond.
            read = partial(examine, arguments.storage_path, play_dates.today(time.time()))
            examined = run_interruptible(run_in_daemon_thread(read, "storage"))
        except StartError as error:
            errors.append(str(error))
        else:
            known, stored = Known(examined.totals, examined.media.found, _trees(examined)), examined.warnings
    start = StartCheckResult() if arguments.syntax_only else check_start(config, environ)
    errors += start.errors
    if arguments.web_config_file:
        sys.stdout.write(f"{shown(arguments.web_config_file)}: valid\n")
    result = "valid, but serve would not start here" if errors else "valid"
    sys.stdout.write(f"{shown(arguments.config_file)}: {result}\n\n{report(config, known)}\n")
    sys.stdout.flush()
    _print_problems(
        (
            *start.warnings,
            *stored,
            *warnings(config, known),
            *setting_warnings(config),
            *permission_warnings(arguments, config),
        ),
        errors,
    )
    if arguments.online and errors:
        sys.stderr.write("warning: --online sent no request: correct the errors first\n")
    elif arguments.online:
        errors += _check_online(arguments, config, environ)
    return _WOULD_NOT_WORK if errors else 0


def _print_problems(warnings: Iterable[object], errors: Iterable[str]) -> None:
    for warning in warnings:
        sys.stderr.write(f"warning: {warning}\n")
    for text in errors:
        sys.stderr.write(f"error: {text}\n")


def _check_online(arguments: argparse.Namespace, config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Print what a few calls to the service show, and return the errors."""
    from exporter import app, logs  # noqa: PLC0415 - all that calls the service is imported only with --online
    from exporter.commands.online_check import check_online  # noqa: PLC0415 - likewise

    logs.configure(arguments.log_level, arguments.log_format)
    timeout = arguments.online_timeout
    sys.stdout.write(f"\nRequests to the service, within {to_text(timeout)}:\n\n")
    sys.stdout.flush()
    online = run_interruptible(check_online(config, app.Runtime(environ), timeout))
    sent = f"{counted(online.requests, 'request')} sent."
    sys.stdout.write(f"{_table((_ONLINE_HEADINGS, *online.lines))}\n\n{sent}\n")
    sys.stdout.flush()
    _print_problems(online.warnings, online.errors)
    return online.errors


def _read(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Config:
    """Read the configuration and the web configuration. Raises ConfigError with every problem of both files."""
    problems: list[ConfigProblem] = []
    config = None
    try:
        config = load(arguments.config_file, environ)
    except ConfigError as error:
        problems += error.problems
    try:
        if arguments.web_config_file:
            from exporter.web.access import live_config  # noqa: PLC0415 - imported only with --web.config.file

            live_config.load(arguments.web_config_file)
    except ConfigError as error:
        problems += error.problems
    if config is None or problems:
        raise ConfigError(*problems)
    return config


def report(config: Config, known: Known) -> str:
    """The costs as a table: one line per query, those of players included, and the total of each account.

    `known`: what storage knows, if there is any.
    """
    costs, players = _costs(config, known), _player_costs(config)
    lines: list[tuple[str, ...]] = [_HEADINGS]
    for account in dict.fromkeys((*costs, *players)):
        by_query, of_players = costs.get(account, {}), players.get(account, {})
        lines += [(account, name, *_figures(each)) for name, each in by_query.items()]
        lines += [(account, f"player: {name}", *_figures(each)) for name, each in of_players.items()]
        lines.append((account, "(total)", *_figures(_total((*by_query.values(), *of_players.values())))))
    return _table(lines)


def _table(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{cell:{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def warnings(config: Config, known: Known) -> Iterator[str]:
    """Warnings about a valid configuration that will not work well: limits exceeded, endpoint unusual."""
    costs, players = _costs(config, known), _player_costs(config)
    for account in config.accounts:
        if warning := endpoint_warning(account.endpoint):
            yield f"account {account.name}: {warning}"
        by_query, of_players = costs.get(account.name, {}), players.get(account.name, {})
        if not by_query and not of_players:
            yield f"account {account.name} is not used by any query"
            continue
        steady = _total(by_query.values()).steady_day
        calls = steady.low + _total(of_players.values()).steady_day.low
        if of_players and 0 < account.limits.calls_per_day < calls:
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
    published = _total(each for by_query in costs.values() for each in by_query.values()).series
    if published.low > config.series_limit:
        yield f"{published} series, series_limit is {config.series_limit}: media with the fewest plays will be left out"


def _costs(config: Config, known: Known) -> dict[str, dict[str, Cost]]:
    """The cost of each query, by account and query name, in the order of the file."""
    settlement = config.settlement
    queries = [query.with_found(known.found) for query in config.core_queries()]
    costs: dict[str, dict[str, Cost]] = {}
    for account in dict.fromkeys(query.account for query in queries):
        totals = {dims: n for (owner, dims), n in known.totals.items() if owner == account}
        own = [query for query in queries if query.account == account]
        costs[account] = {query.name: cost(query, settlement, totals) for query in own}
        tree = known.trees.get(account)
        for search, query in {query.search: query for query in own if query.search is not None}.items():
            costs[account][f"{query.name} (search)"] = search_cost(search, media_of(query, totals), tree)
        for settings in config.accounts:
            if settings.name == account and settings.metadata is not None:
                rules = settings.metadata.core_rules()
                published, found = (
                    reduce(add, (media_of(each, totals) for each in own if (each.search is None) is listed), NOTHING)
                    for listed in (True, False)
                )
                costs[account]["(metadata)"] = metadata_cost(rules, published, found, tree)
    return costs


def _trees(examined: Examined) -> Mapping[str, CategoryTree]:
    metadata = examined.media.metadata
    return {account: about.tree for account, about in metadata.items() if about.tree is not None}


def _player_costs(config: Config) -> dict[str, dict[str, Cost]]:
    """The cost of each player query, by account and name, in the order of the file; a target counts as a slice."""
    costs: dict[str, dict[str, Cost]] = {}
    for query in config.player_queries():
        first, day, count = first_poll_calls(query), calls_per_day(query), series(query)
        costs.setdefault(query.account, {})[query.name] = Cost(
            len(query.targets), Estimate(first, first), Estimate(day, day), Estimate(count, count)
        )
    return costs


def _total(costs: Iterable[Cost]) -> Cost:
    summands = tuple(costs)
    return Cost(
        sum(each.slices for each in summands),
        reduce(add, (each.first_poll for each in summands), NOTHING),
        reduce(add, (each.steady_day for each in summands), NOTHING),
        reduce(add, (each.series for each in summands), NOTHING),
    )


def _figures(one: Cost) -> tuple[str, ...]:
    return str(one.slices), str(one.first_poll), str(one.steady_day), str(one.series)
