from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from rich.console import Console

from exporter.backfill.progress import NO_PROGRESS, ProgressLines, shown

if TYPE_CHECKING:
    import pytest

    from exporter.backfill.progress import Progress


def work(progress: Progress) -> None:
    progress.begin("fetching", 2, "slice")
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

    lines.begin("writing", 12345, "sample")
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
    lines.begin("writing", 9, "sample")
    lines.advance(4, "so far")

    assert written[-1] == "so far: 4 of 9 samples"


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn_on(file: io.StringIO) -> str:
    with shown(Console(file=file, width=100, highlight=False)) as progress:
        work(progress)
    return file.getvalue()


LINES: Final = "fetching 2 slices\nfetched yesterday: 1 of 2 slices\n"


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")

    bar = drawn_on(FakeTerminal())

    assert "fetching slices" in bar
    assert "2/2" in bar
    assert "\x1b" in bar


def test_a_file_shows_lines_even_with_forced_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn_on(io.StringIO()) == LINES

    monkeypatch.setenv("FORCE_COLOR", "1")

    assert drawn_on(io.StringIO()) == LINES


def test_a_terminal_that_can_move_no_cursor_shows_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")

    assert drawn_on(FakeTerminal()) == LINES
