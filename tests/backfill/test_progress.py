from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from exporter.backfill.progress import NO_PROGRESS, ProgressLines, shown

if TYPE_CHECKING:
    from exporter.backfill.progress import Progress


def work(progress: Progress) -> None:
    progress.begin("fetching", 2, "slices")
    progress.advance(1, "fetched yesterday")
    progress.advance(0)
    progress.advance(1)


def test_lines_contain_the_start_and_the_texts() -> None:
    written: list[str] = []

    work(ProgressLines(written.append, monotonic=lambda: 0.0))

    assert written == ["fetching 2 slices", "fetched yesterday: 1 of 2 slices"]


def test_lines_are_not_silent_for_long() -> None:
    written: list[str] = []
    now = 100.0
    lines = ProgressLines(written.append, monotonic=lambda: now)

    lines.begin("writing", 12345, "samples")
    now += NO_PROGRESS - 0.1
    lines.advance(1000)
    now += 0.1
    lines.advance(1000)
    lines.advance(1000)

    assert written == ["writing 12,345 samples", "writing: 2,000 of 12,345 samples"]


def test_what_begins_starts_to_count_again() -> None:
    written: list[str] = []
    lines = ProgressLines(written.append, monotonic=lambda: 0.0)

    work(lines)
    lines.begin("writing", 9, "samples")
    lines.advance(4, "so far")

    assert written[-1] == "so far: 4 of 9 samples"


def test_a_terminal_shows_a_bar_and_a_file_shows_lines() -> None:
    drawn = {}
    for terminal in (True, False):
        out = io.StringIO()
        with shown(Console(file=out, force_terminal=terminal, width=100, highlight=False)) as progress:
            work(progress)
        drawn[terminal] = out.getvalue()

    assert "fetching slices" in drawn[True]
    assert "2/2" in drawn[True]
    assert "\x1b" in drawn[True]
    assert drawn[False] == "fetching 2 slices\nfetched yesterday: 1 of 2 slices\n"
