"""Progress reports: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Protocol

from rich import progress as rich

from exporter.plurals import counted, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.console import Console

# Longest time in seconds between two lines, as long as progress is reported.
NO_PROGRESS: Final = 5.0


class Progress(Protocol):
    """Receives progress."""

    def begin(self, what: str, total: int, unit: str) -> None:
        """Start a task of `total` parts: `fetching`, 60, `slice` is `fetching 60 slices`."""
        ...

    def advance(self, parts: int, text: str = "") -> None:
        """Report that `parts` more are done (0: still running). `text` is shown where progress is lines."""
        ...


class ProgressLines:
    """Writes a line for each text, and for other progress when the last line is `NO_PROGRESS` ago."""

    def __init__(self, write: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._monotonic = monotonic
        self._what = self._unit = ""
        self._done = self._total = 0
        self._written_at = 0.0

    def begin(self, what: str, total: int, unit: str) -> None:
        """Write what starts."""
        self._what, self._total, self._unit, self._done = what, total, unit, 0
        self._write_line(f"{what} {counted(total, unit)}")

    def advance(self, parts: int, text: str = "") -> None:
        """Write the text with the progress; without a text, only when no line was written for `NO_PROGRESS`."""
        self._done += parts
        if text or self._monotonic() - self._written_at >= NO_PROGRESS:
            self._write_line(f"{text or self._what}: {self._done:,} of {counted(self._total, self._unit)}")

    def _write_line(self, line: str) -> None:
        self._written_at = self._monotonic()
        self._write(line)


class ProgressBar:
    """Draws a bar for each task."""

    def __init__(self, bars: rich.Progress) -> None:
        self._bars = bars
        self._task: rich.TaskID | None = None

    def begin(self, what: str, total: int, unit: str) -> None:
        """Add a bar below the earlier ones."""
        self._task = self._bars.add_task(f"{what} {plural(total, unit)}", total=total)

    def advance(self, parts: int, text: str = "") -> None:  # noqa: ARG002 - a bar shows no text
        """Advance the bar."""
        if self._task is not None:
            self._bars.advance(self._task, parts)


@contextlib.contextmanager
def shown(console: Console) -> Generator[Progress]:
    """Show progress on a console: bars on a terminal, else lines. Lines printed to it meanwhile appear above bars.

    FORCE_COLOR makes no terminal of a file, and with TERM=dumb nothing would be drawn before the end.
    """
    if not console.file.isatty() or console.is_dumb_terminal:
        yield ProgressLines(lambda line: console.print(line, markup=False, soft_wrap=True))
        return
    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=console) as bars:
        yield ProgressBar(bars)
