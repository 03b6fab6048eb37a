"""Validate the configuration, then print its cost: slices, API calls and series per query."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter.commands.config_costs import Known, aligned, config_costs, cost_table, cost_warnings
from exporter.commands.loop_signals import run_interruptible
from exporter.commands.setting_warnings import permission_warnings, setting_warnings
from exporter.commands.start_checks import StartCheckResult, check_start
from exporter.config.loader import load
from exporter.config.schema import schema_json
from exporter.core import play_dates
from exporter.documents.durations import to_text
from exporter.errors import ConfigError, FlagError, StartError, shown
from exporter.plurals import counted
from exporter.threads import run_in_daemon_thread

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from exporter.config.schema import Config
    from exporter.errors import ConfigProblem

_ONLINE_HEADINGS: Final = ("account", "request", "result")
_WOULD_NOT_WORK: Final = 2


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
            known, stored = Known.of(examined), examined.warnings
    start = StartCheckResult() if arguments.syntax_only else check_start(config, environ)
    errors += start.errors
    if arguments.web_config_file:
        sys.stdout.write(f"{shown(arguments.web_config_file)}: valid\n")
    result = "valid, but serve would not start here" if errors else "valid"
    costs = config_costs(config, known)
    sys.stdout.write(f"{shown(arguments.config_file)}: {result}\n\n{cost_table(costs)}\n")
    sys.stdout.flush()
    _print_problems(
        (
            *start.warnings,
            *stored,
            *cost_warnings(config, costs),
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
    sys.stdout.write(f"{aligned((_ONLINE_HEADINGS, *online.lines))}\n\n{sent}\n")
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
            from exporter.web.access import policy  # noqa: PLC0415 - imported only with --web.config.file

            policy.load(arguments.web_config_file)
    except ConfigError as error:
        problems += error.problems
    if config is None or problems:
        raise ConfigError(*problems)
    return config
