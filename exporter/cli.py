"""argv → a command → an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from exporter import __version__, logs, streams
from exporter.errors import ConfigError, ExporterError, FlagError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Command(Protocol):
    """A module of `exporter.commands`; the first line of its docstring is its help."""

    def flags(self, parser: argparse.ArgumentParser) -> None:
        """Add its flags."""
        ...

    def run(self, arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
        """Do it and give the exit status. Raises ExporterError."""
        ...


COMMANDS: Final = ("serve", "check-config", "check-healthy", "fetch", "backfill", "simulate", "demo")
_BAD_USAGE: Final = 2
_INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command line. Exit status: 0 done, 1 cannot start or not everything answered, 2 bad flags or settings."""
    streams.never_refuse(sys.stdout, sys.stderr)
    given = list(sys.argv[1:] if argv is None else argv)
    words = _command_first(given)
    # Help is about all of them. Else only one is imported: check-healthy runs every few seconds, and the daemon's
    # libraries take longer than its question.
    commands = {name: _command(name) for name in (words[:1] if words[0] in COMMANDS else COMMANDS)}
    arguments = _parser(commands).parse_args(words)
    if arguments.log_format == "json":
        streams.use_utf8(sys.stderr)
    logs.configure(arguments.log_level, arguments.log_format)
    try:
        return commands[arguments.command].run(arguments, os.environ if environ is None else environ)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - file:line:column at the start of the line is what editors jump to
        return _BAD_USAGE
    except ExporterError as error:
        print(f"aliyun-vod-exporter: {error}", file=sys.stderr)  # noqa: T201 - what stands between start and a log
        return _BAD_USAGE if isinstance(error, FlagError) else 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` has; the interpreter must not complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _command(name: str) -> Command:
    return cast("Command", import_module(f"exporter.commands.{name.replace('-', '_')}"))


def _parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aliyun-vod-exporter",
        description="Prometheus exporter for the playback statistics of Alibaba Cloud ApsaraVideo VOD.",
        epilog="Without a command it serves. `aliyun-vod-exporter COMMAND --help` lists a command's flags.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"aliyun-vod-exporter {__version__}")
    sub_parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in commands.items():
        sentence = (command.__doc__ or "").splitlines()[0]
        sub = sub_parsers.add_parser(
            name,
            help=sentence,
            description=sentence,
            allow_abbrev=False,
            formatter_class=_Defaults,
        )
        sub.add_argument("--log.level", dest="log_level", choices=logs.LEVELS, default="info", help="what to log")
        sub.add_argument(
            "--log.format", dest="log_format", choices=logs.FORMATS, default="logfmt", help="shape of a log line"
        )
        command.flags(sub)
    return parser


class _Defaults(argparse.HelpFormatter):
    """Every flag with its default, as it would be written; none where nothing is given."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        nothing = default is None or default is False or default in ([], argparse.SUPPRESS)
        if not action.option_strings or nothing:
            return action.help
        shown = ", ".join(default) if isinstance(default, list) else default
        return f"{action.help} (default: {shown})"


def _command_first(given: list[str]) -> list[str]:
    """`--config.file=x check-config` means what `check-config --config.file=x` means; no command means `serve`."""
    for position, word in enumerate(given):
        if word in {"-h", "--help", "--version"}:
            break
        value_of_a_flag = position > 0 and given[position - 1].startswith("--") and "=" not in given[position - 1]
        if word in COMMANDS and not value_of_a_flag:
            return [word, *given[:position], *given[position + 1 :]]
    else:
        return ["serve", *given]
    return given
