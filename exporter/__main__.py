"""`python -m exporter` and `aliyun-vod-exporter`: set up signals and streams before the slow imports."""

from __future__ import annotations

import os
import sys

from exporter.commands.command_names import DAEMONS, DEFAULT, split
from exporter.signals import PROCESS

_COMMAND = split(sys.argv[1:])[0] or DEFAULT
# At import, not in main(), which the console script calls later: PID 1 in a container has no default signal handlers.
PROCESS.install(daemon=_COMMAND in DAEMONS, reloads=_COMMAND == "serve")


def main() -> int:
    """Run the command line of this process and return its exit status."""
    from importlib import import_module  # noqa: PLC0415 - after the signal handlers

    stdio = import_module("exporter.stdio")
    _reopen_closed_streams()
    sys.stdout, sys.stderr = stdio.guarded_stdout(sys.stdout), stdio.guarded_stderr(sys.stderr)
    try:
        status: int = import_module("exporter.cli").main()
    except KeyboardInterrupt:
        status = PROCESS.interrupted()
    PROCESS.finish(status)
    return status


def _reopen_closed_streams() -> None:
    """Open standard streams that are closed (`2>&-`), or the next file opened would become standard error."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # open() returns the lowest free descriptor, which is this one.
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


if __name__ == "__main__":
    sys.exit(main())
