"""How far something has come: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Protocol

from rich import progress as rich

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.console import Console

# Who reads lines is not left alone for longer than so many seconds, as long as something is reported.
NO_PROGRESS: Final = 5.0


class Progress(Protocol):
    """Who is told how far it has come."""

    def begin(self, what: str, total: int, unit: str) -> None:
        """Something begins that has so many parts."""
        ...

    def advance(self, parts: int, said: str = "") -> None:
        """So many more parts are done; 0: it goes on. `said` is for those who read lines."""
        ...


class ProgressLines:
    """A line for what is said, and for the rest when the last line is `NO_PROGRESS` ago."""

    def __init__(self, say: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._monotonic = monotonic
        self._what = self._unit = ""
        self._done = self._total = 0
        self._said_at = 0.0

    def begin(self, what: str, total: int, unit: str) -> None:
        """Say what begins."""
        self._what, self._total, self._unit, self._done = what, total, unit, 0
        self._tell(f"{what} {total:,} {unit}")

    def advance(self, parts: int, said: str = "") -> None:
        """Say what is said, or how far it is when nothing was said for long."""
        self._done += parts
        if said or self._monotonic() - self._said_at >= NO_PROGRESS:
            self._tell(f"{said or self._what}: {self._done:,} of {self._total:,} {self._unit}")

    def _tell(self, line: str) -> None:
        self._said_at = self._monotonic()
        self._say(line)


class ProgressBar:
    """A bar for each thing that begins."""

    def __init__(self, bars: rich.Progress) -> None:
        self._bars = bars
        self._task: rich.TaskID | None = None

    def begin(self, what: str, total: int, unit: str) -> None:
        """Draw a bar under those before it."""
        self._task = self._bars.add_task(f"{what} {unit}", total=total)

    def advance(self, parts: int, said: str = "") -> None:  # noqa: ARG002 - the bar says it all
        """Draw it longer."""
        if self._task is not None:
            self._bars.advance(self._task, parts)


@contextlib.contextmanager
def shown(console: Console) -> Generator[Progress]:
    """Progress as this console can show it; lines go through it too."""
    if not console.is_terminal:
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
