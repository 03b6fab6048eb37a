"""argv → a command → an exit status; imports the modules of a command only when that command runs."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from exporter import stdio
from exporter.commands import command_names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from exporter.commands.definitions import Command

COMMANDS: Final = command_names.COMMANDS
_USAGE_ERROR: Final = 2


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command line. Exit status: 0 success, 1 cannot start or incomplete result, 2 bad flags or settings."""
    stdio.escape_unencodable(sys.stdout, sys.stderr)
    given, environ = list(sys.argv[1:] if argv is None else argv), os.environ if environ is None else environ
    if "--version" in given or given == ["version"]:
        return _print(_module("version").version(environ))
    command_line = _module("command_line")
    if "_ARGCOMPLETE" in environ:
        command_line.complete()
    try:
        if text := command_line.requested_text(given):
            return _print(text)
        name, words = command_names.split(given)
        command: Command = _module("definitions").DEFINITIONS[name or command_names.DEFAULT]
        arguments = command_line.parse(command, words, named=name is not None)
    except command_line.UsageError as error:
        return _print_error(str(error), _USAGE_ERROR)
    try:
        return _run(command, arguments, environ)
    except stdio.StdoutError as error:
        return _stdout_failed(error)
    except Exception as error:
        if not (sentences := import_module("exporter.errors").describe_exhaustion(error)):
            raise
        # Partly initialized objects are freed later, which would print tracebacks and warnings.
        sys.unraisablehook = lambda _: None
        import_module("warnings").simplefilter("ignore")
        return _print_error(f"aliyun-vod-exporter: {sentences}", 1)


def _run(command: Command, arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    optional, errors, signals = (
        import_module(f"exporter.{name}") for name in ("optional_imports", "errors", "signals")
    )
    optional.adjust_environment()
    with contextlib.ExitStack() as stack:
        hidden = contextlib.nullcontext()
        if not command.uses_terminal:
            hidden = optional.without(*optional.ABSENT, emptied=optional.UNUSED)
        run: Callable[[argparse.Namespace, Mapping[str, str]], int]
        with hidden:
            if command.logs:
                logs = import_module("exporter.logs")
                if arguments.log_format == "json":
                    stdio.use_utf8(sys.stderr)
                logs.configure(arguments.log_level, arguments.log_format)
                if command.name in command_names.DAEMONS:
                    stack.enter_context(logs.never_blocking())
            run = import_module(command.module).run
        if command.name not in command_names.DAEMONS:
            signals.PROCESS.interrupt()
        try:
            status = run(arguments, environ)
            sys.stdout.flush()
        except errors.ConfigError as error:
            # No prefix: editors and CI jump to a file:line:column at the start of a line.
            return _print_error(str(error), _USAGE_ERROR)
        except errors.ExporterError as error:
            return _print_error(
                f"aliyun-vod-exporter: {error}", _USAGE_ERROR if isinstance(error, errors.FlagError) else 1
            )
        except KeyboardInterrupt:
            return int(signals.PROCESS.interrupted())
        except BrokenPipeError:
            return _stdout_closed()
        return status


def _module(name: str) -> Any:
    return import_module(f"exporter.commands.{name}")


def _print_error(text: str, status: int) -> int:
    with contextlib.suppress(OSError):  # standard error is closed; the exit status still reports the failure
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    return status


def _print(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        return _stdout_closed()
    except stdio.StdoutError as error:
        return _stdout_failed(error)
    return 0


def _stdout_failed(error: stdio.StdoutError) -> int:
    stdio.discard(sys.stdout)
    return _print_error(f"aliyun-vod-exporter: cannot write standard output: {error.strerror}", 1)


def _stdout_closed() -> int:
    """The reader closed the pipe, as `head` does."""
    stdio.discard(sys.stdout)
    return 1
