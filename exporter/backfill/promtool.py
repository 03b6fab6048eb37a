"""Makes Prometheus blocks of an OpenMetrics file, with promtool."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.errors import ExporterError, FlagError
from exporter.safe_text import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_LONGEST_MESSAGE: Final = 300


def find(environ: Mapping[str, str]) -> str:
    """The path of promtool. Raises FlagError when it is not installed."""
    found = shutil.which("promtool", path=environ.get("PATH"))
    if found is None:
        raise FlagError(
            "--blocks needs promtool in PATH: install Prometheus here, or use --output and promtool elsewhere"
        )
    return found


def check_directory(directory: Path) -> None:
    """Make the directory if it is not there. Raises FlagError when nothing can be written to it."""
    with contextlib.suppress(OSError):
        directory.mkdir(exist_ok=True)
    # `is_dir` raises where the directory above may not be entered, before Python 3.14.
    if not os.path.isdir(directory) or not os.access(directory, os.W_OK | os.X_OK):  # noqa: PTH112
        raise FlagError(f"--blocks={directory} is not a directory that can be written to")


@contextlib.contextmanager
def text_file(directory: Path) -> Generator[Path]:
    """The name of a text file in a temporary directory beside the blocks, where there is room for them too."""
    try:
        made = tempfile.TemporaryDirectory(prefix=".backfill-", dir=directory, ignore_cleanup_errors=True)
    except OSError as error:  # it was removed meanwhile, or its disk is full
        raise ExporterError(f"cannot write to {directory}: {error.strerror}") from None
    with made as folder:
        yield Path(folder) / "backfill.txt"


def create_blocks(program: str, file: Path, directory: Path, hours: int) -> None:
    """Add the blocks of a file to a directory. Raises ExporterError when promtool fails."""
    argv = [
        program,
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "--quiet",
        f"--max-block-duration={hours}h",
        str(file),
        str(directory),
    ]
    try:
        ran = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - what `find` found
    except OSError as error:
        raise ExporterError(f"promtool cannot be started: {error.strerror}") from None
    if ran.returncode:
        reason = shortened(printable(ran.stderr.strip().rpartition("\n")[2]), _LONGEST_MESSAGE)
        raise ExporterError(f"promtool {_end(ran.returncode)}{reason and f': {reason}'}")


def _end(status: int) -> str:
    """How it ended; `status` is negative for a signal."""
    if status == -signal.SIGKILL:
        return "was killed, as by a system without free memory; --query and --days take less of it"
    if status < 0:
        return f"was ended by signal {-status} ({signal.strsignal(-status)})"
    return f"ended with status {status}"
