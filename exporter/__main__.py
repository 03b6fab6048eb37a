"""`python -m exporter` and `aliyun-vod-exporter`: signals and streams first, then everything that takes time."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from exporter.commands.command_names import DAEMONS, DEFAULT, split
from exporter.signals import PROCESS

_COMMAND = split(sys.argv[1:])[0] or DEFAULT
# Here and not in main(), which the script calls after it has imported this: as PID 1 a process has no default handlers.
PROCESS.take(daemon=_COMMAND in DAEMONS, reloads=_COMMAND == "serve")


def main() -> int:
    """Run the command line of this process; its exit status."""
    _reopen_closed_streams()
    try:
        status: int = import_module("exporter.cli").main()
    except KeyboardInterrupt:
        status = PROCESS.interrupted()
    PROCESS.finish(status)
    return status


def _reopen_closed_streams() -> None:
    """What is opened next must not become the standard error of whoever was started without one (`2>&-`)."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


if __name__ == "__main__":
    sys.exit(main())
