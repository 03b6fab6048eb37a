"""Command lines: parsing, one-line errors, help, shell completion and the manual page."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

from exporter import __version__
from exporter.commands import command_names
from exporter.commands.definitions import DEFINITIONS
from exporter.documents import lookalikes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.commands.definitions import Command
    from exporter.commands.flags import Parser

PROGRAM: Final = "aliyun-vod-exporter"
_ABOUT: Final = "Prometheus exporter for the playback statistics of Alibaba Cloud ApsaraVideo VOD."
_LONGEST_DASHES: Final = 2
_MOST_SUGGESTIONS: Final = 3
_IGNORED_VALUE: Final = re.compile(r"argument (?:-h/)?(--\S+): ignored explicit argument (.*)", re.DOTALL)
_HELP: Final = frozenset({"-h", "-help", "--help"})
_WORDS: Final = {"help": "Print this help, or the flags of a command: help COMMAND.", "version": "Print the version."}
GENERAL_FLAGS: Final = {
    "--version": "print version, revision, Python version and platform",
    "--completion-script-bash": "print the completion script for bash",
    "--completion-script-zsh": "print the completion script for zsh",
    "--help-man": "print the manual page",
}
VARIABLES: Final = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET": "AccessKey of accounts without credentials",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "STS token of that AccessKey, if it is temporary",
    "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY": "proxy for requests to the API; lower case is read first",
    "SSL_CERT_FILE, SSL_CERT_DIR": "PEM file or OpenSSL directory of CAs to trust instead of the built-in ones",
    "any name in ${...} of the configuration": "replaced by its value",
    "other ALIBABA_CLOUD_...": "used by roles and profiles",
}
STATUSES: Final = {
    "0": "success; serve, simulate, demo: stopped by SIGTERM or SIGINT",
    "1": "cannot start; fetch: a query failed; backfill: a day is missing; check-healthy: not healthy; probe: an"
    " action was not answered",
    "2": "bad flag or configuration; check-config: serve would not start, or --online found errors",
    "129, 130, 143": "fetch, backfill, probe, check-config: interrupted by SIGHUP, SIGINT, SIGTERM",
}


class UsageError(Exception):
    """An invalid command line; the message is one line with the reason and what to try."""


class _Parser(argparse.ArgumentParser):
    """Raises UsageError, where argparse would print the usage and exit."""

    def __init__(
        self, formatter_class: type[argparse.HelpFormatter] = argparse.RawDescriptionHelpFormatter, **settings: Any
    ) -> None:
        super().__init__(allow_abbrev=False, formatter_class=formatter_class, **settings)

    def error(self, message: str) -> NoReturn:
        # argparse's sentence for `--flag=value` where the flag takes none.
        message = _IGNORED_VALUE.sub(r"\1 takes no value: leave \2 out", message)
        raise UsageError(f"{self.prog}: error: {message}; try {self.prog} --help")


class _Flags:
    """Adds flags to a parser or an argument group; records their names and appends defaults to their help."""

    def __init__(self, parser: Parser) -> None:
        self.names = ["--help"]
        self._parser = parser

    def add_argument(self, *flags: Any, **settings: Any) -> argparse.Action:
        self.names += flags
        action = self._parser.add_argument(*flags, **settings)
        default = action.default
        if default is not None and default is not False and default not in ([], ""):
            action.help = f"{action.help} (default: {', '.join(default) if isinstance(default, list) else default})"
        return action


def parse(command: Command, words: list[str], *, named: bool) -> argparse.Namespace:
    """Parse the words after a command. `named`: the command line names the command. Raises UsageError."""
    parser = _parser(command, named=named)
    flags = _Flags(parser)
    command.flags(flags)
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        word = unknown[0]
        if word.startswith("-"):
            flag = word.partition("=")[0]
            if flag in GENERAL_FLAGS and not named:
                parser.error(f"{flag} takes no value and no other words")
            parser.error(
                f"unknown flag {flag}{_did_you_mean(flag, flags.names if named else [*flags.names, *GENERAL_FLAGS])}"
            )
        if named:
            parser.error(f"unexpected {word!r}, {command.name} takes flags only{lookalikes.hint(word)}")
        _reject_command(word)
    return arguments


def requested_text(given: Sequence[str]) -> str:
    """The help, completion script or manual page that a command line requests; empty if it requests none."""
    if given and given[0] in GENERAL_FLAGS and len(given) == 1:
        return {
            "--completion-script-bash": lambda: _completion_script("bash"),
            "--completion-script-zsh": lambda: _completion_script("zsh"),
            "--help-man": _manual_page,
        }[given[0]]()
    name, words = command_names.split(list(given))
    if _HELP.intersection(words):
        return _help_of(DEFINITIONS[name]) if name else _help()
    if words[:1] == ["help"]:
        return _help_about(name, words[1:])
    return ""


def _help_about(name: str | None, words: Sequence[str]) -> str:
    """The help that `help COMMAND` requests; `name` is the command if there is one, `words` are all others."""
    if name is None and words and words[0] not in _WORDS:
        _reject_command(words[0])
    if len(words) > (name is None):
        _Parser(prog=PROGRAM).error("help takes one command")
    return _help_of(DEFINITIONS[name]) if name else _help()


def _reject_command(word: str) -> NoReturn:
    if word in _WORDS:
        _Parser(prog=PROGRAM).error(f"{word} must be the first word, and `version` the only one")
    _Parser(prog=PROGRAM).error(f"unknown command {word!r}{_did_you_mean(word, [*command_names.COMMANDS, *_WORDS])}")


def complete() -> None:
    """Print the completions that the shell has requested, then exit."""
    # A flag with choices completes to these, any other value to file names.
    import_module("argcomplete").autocomplete(_full_parser())


def _parser(command: Command, *, named: bool) -> _Parser:
    prog = f"{PROGRAM} {command.name}" if named else PROGRAM
    return _Parser(argparse.HelpFormatter, prog=prog, usage="%(prog)s [FLAGS]", description=command.sentence)


def _help_of(command: Command) -> str:
    parser = _parser(command, named=True)
    command.flags(_Flags(parser))
    return parser.format_help()


def _help() -> str:
    usage = "%(prog)s [COMMAND] [FLAGS]"
    parser = _Parser(prog=PROGRAM, usage=usage, description=_description(), add_help=False, epilog=_epilog())
    _general(parser.add_argument_group("flags without a command"))
    serve = DEFINITIONS[command_names.DEFAULT]
    serve.flags(_Flags(parser.add_argument_group(f"flags of {serve.name}")))
    return parser.format_help()


def _general(group: Parser) -> None:
    group.add_argument("-h", "--help", action="help", help="print this help, or the flags of a command")
    for flag, sentence in GENERAL_FLAGS.items():
        group.add_argument(flag, action="store_true", help=sentence)


def _description() -> str:
    commands = {name: command.sentence for name, command in DEFINITIONS.items()}
    return f"{_ABOUT}\n\n{_list('commands', {**commands, **_WORDS})}"


def _epilog() -> str:
    return "\n\n".join((_list("environment variables", VARIABLES), _list("exit status", STATUSES)))


def _list(title: str, entries: dict[str, str]) -> str:
    """A section, formatted as argparse formats sections of flags."""
    import shutil  # noqa: PLC0415 - for help only
    import textwrap  # noqa: PLC0415 - likewise

    column = 24
    indented = textwrap.TextWrapper(
        width=max(shutil.get_terminal_size().columns - 2, column + 11),
        subsequent_indent=" " * column,
        break_on_hyphens=False,
    )
    lines = [f"{title}:"]
    for name, text in entries.items():
        short = len(name) + 4 <= column
        lines += [] if short else [f"  {name}"]
        lines += indented.wrap(f"  {name if short else '':{column - 4}}  {text}")
    return "\n".join(lines)


def _full_parser() -> _Parser:
    """One parser with every command and flag, for completion and the manual page; not used to parse."""
    parser = _Parser(prog=PROGRAM, usage="%(prog)s [COMMAND] [FLAGS]", description=_ABOUT, add_help=False)
    _general(parser)
    DEFINITIONS[command_names.DEFAULT].flags(_Flags(parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    for name, command in DEFINITIONS.items():
        sentence, usage = command.sentence, f"{PROGRAM} {name} [FLAGS]"
        command.flags(_Flags(commands.add_parser(name, usage=usage, help=sentence, description=sentence)))
    for word, sentence in _WORDS.items():
        commands.add_parser(word, usage=f"{PROGRAM} {word}", help=sentence, description=sentence)
    return parser


def _completion_script(shell: str) -> str:
    script: str = import_module("argcomplete").shellcode([PROGRAM], shell=shell)
    return script


def _manual_page() -> str:
    data = {"project_name": PROGRAM, "version": __version__, "description": _ABOUT.rstrip("."), "manual_title": PROGRAM}
    page = import_module("argparse_manpage.manpage").Manpage(_full_parser(), data)
    for title, entries in (("environment", VARIABLES), ("exit status", STATUSES)):
        page.add_section(title, ">", "\n".join(f".TP\n.B {name}\n{text}" for name, text in entries.items()))
    return str(page)


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean --config.file` when a known word is similar, or which character is not ASCII; else empty."""
    if hint := lookalikes.hint(word):
        return hint
    names, lower = list(known), word.lower()
    begin = [name for name in names if len(word) > _LONGEST_DASHES and name.startswith(lower)]
    close = begin or import_module("difflib").get_close_matches(lower, names, n=1)
    return f", did you mean {' or '.join(close)}" if 0 < len(close) <= _MOST_SUGGESTIONS else ""
