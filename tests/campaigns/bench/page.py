"""Formats sections of rows for a terminal and as docs/benchmarks.md."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.campaigns.bench.rows import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.campaigns.bench.rows import Row

_COLUMNS: Final = ("", "median", "least to most", "ratio", "goal", "")
_WIDTH: Final = 120
_MARK: Final = "<!-- Written by `make bench`. What is changed here by hand is lost. -->"
_INTRODUCTION: Final = """\
# How fast

Peers and the exporter run in turns, in one run on one machine, so that a disturbance affects all of them. Each figure
is the median of the rounds, with the minimum and maximum beside it. A ratio divides the figure by the figure of the row
that it names; only ratios are meaningful on other machines. For exporters and simulators it is noon of a fixed day,
UTC+8, when the benchmark begins, except for dashboards. No test depends on these figures.

```sh
make bench                   # everything, and this page
make bench ARGS="scrape"     # one part, on the terminal only: {parts}
```

nginx, pushgateway and Prometheus are the Debian packages (`apt-get install nginx-light prometheus-pushgateway
prometheus`). If one is not installed, its row says so.
"""
_MORE: Final = """\
## Measured elsewhere

* `python -m tests.campaigns.bench.sizing`: memory, CPU time and disk space by number of series, the table of
  [operations.md](operations.md#sizing).
* `python -m tests.campaigns.bench.slow_clients`: scrapes with a thousand slow clients connected.
* `make calls`: number of API calls that polls make, [calls.md](design/calls.md).
"""


def cells(row: Row) -> tuple[str, ...]:
    """The cells of a row: name, median, spread, ratio, goal, whether it is reached."""
    if row.figure is None:
        return row.name, "–", "", "", "" if row.goal is None else str(row.goal), row.note
    reached = {None: row.note, True: "reached", False: "missed"}[row.reached]
    return (
        row.name,
        f"{_number(row.figure)} {row.unit}".rstrip(),
        "" if row.spread is None else f"{_number(row.spread[0])} to {_number(row.spread[1])}",
        "" if row.ratio is None else f"{_number(row.ratio)} x {row.against}",
        "" if row.goal is None else str(row.goal),
        reached if not row.note or row.reached is None else f"{reached}; {row.note}",
    )


def goals(sections: Iterable[Section]) -> Section:
    """The rows that have a goal, each with the title of its section."""
    return Section(
        "Goals",
        "The goals for every change; the sections below say how each figure was measured.",
        tuple(
            replace(row, name=f"{section.title}: {row.name}", note="")
            for section in sections
            for row in section.rows
            if row.goal is not None
        ),
    )


def tables(sections: Iterable[Section]) -> str:
    """The sections for a terminal."""
    return "\n".join(_aligned(section) for section in sections)


def document(sections: Sequence[Section], *, parts: Iterable[str], machine: Mapping[str, str]) -> str:
    """The page, the goals first; `machine`: the environment, by name."""
    bullets = "\n".join(_filled(f"{name}: {what}", "* ") for name, what in machine.items())
    bodies = "\n".join(_markdown(section) for section in (goals(sections), *sections))
    return (
        f"{_MARK}\n\n{_INTRODUCTION.format(parts=', '.join(parts))}\n{bodies}\n## Measured on\n\n{bullets}\n\n{_MORE}"
    )


def _number(value: float) -> str:
    """Three significant digits, or all digits before the point: 0.0123, 1.23, 12.3, 1,234."""
    if value == 0:
        return "0"
    digits = next((2 - power for power in range(-6, 2) if abs(value) < 10 ** (power + 1)), 0)
    return f"{value:,.{max(digits, 0)}f}"


def _aligned(section: Section) -> str:
    lines = [_COLUMNS, *map(cells, section.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    text = "\n".join(_line(line, widths) for line in lines)
    return f"{section.title}\n{text}\n"


def _line(line: Sequence[str], widths: Sequence[int]) -> str:
    """Names and remarks to the left, figures and their spread to the right."""
    right = (1, 2)
    aligned = (
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  ".join(aligned).rstrip()


def _markdown(section: Section) -> str:
    rows = "\n".join(f"| {' | '.join(cells(row))} |" for row in section.rows)
    head = f"| {' | '.join(_COLUMNS)} |\n|---|--:|--:|---|---|---|"
    return f"## {section.title}\n\n{_filled(section.how)}\n\n{head}\n{rows}\n"


def _filled(text: str, bullet: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )
