"""Benchmarks as ratios within one run, medians of alternating rounds; `make bench`, or `make bench ARGS="PART"`.

Every part prints its tables; all parts together write docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter import logs
from tests.campaigns.bench import (
    dashboards,
    machine,
    page,
    polling,
    scale,
    scrape,
    slices,
    startup,
    while_polling,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.campaigns.bench.rows import Section

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "benchmarks.md"
PARTS: Final[dict[str, Callable[[], Sequence[Section]]]] = {
    "scrape": scrape.sections,
    "busy": while_polling.sections,
    "slices": slices.sections,
    "poll": polling.sections,
    "startup": startup.sections,
    "scale": lambda: [scale.section()],
    "dashboards": dashboards.sections,
}


def main(argv: list[str]) -> int:
    """Measure the given parts or all of them; 1 if one could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=f"one or more of {', '.join(PARTS)}")
    parts = parser.parse_args(argv).parts or list(PARTS)
    logs.configure("error")
    measured: list[Section] = []
    for part in parts:
        try:
            sections = PARTS[part]()
        except RuntimeError as error:
            sys.stderr.write(f"{part} could not be measured: {error}\n")
            return 1
        sys.stdout.write(page.tables(sections) + "\n")
        sys.stdout.flush()
        measured += sections
    sys.stdout.write(page.tables([page.goals(measured)]) + "\n")
    if set(parts) == set(PARTS):
        PAGE.write_text(page.document(measured, parts=PARTS, machine=machine.described()), encoding="utf-8")
        sys.stdout.write(f"written: {PAGE.relative_to(ROOT)}\n")
    return 0


def _part(text: str) -> str:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"there is no part {text!r}, only {', '.join(PARTS)}")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
