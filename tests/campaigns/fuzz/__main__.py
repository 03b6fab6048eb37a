"""Fuzz with coverage feedback: `python -m tests.campaigns.fuzz [--seconds N] [TARGET...]`; 1 on a finding."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.campaigns.fuzz.campaign import Outcome, campaign
from tests.campaigns.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_FOLDER: Final = Path("build/fuzz")
_COLUMNS: Final = ("target", "seconds", "executions", "corpus", "findings")
NO_FUZZER: Final = (
    "atheris is not installed. It has wheels for Linux on x86-64 and Python 3.11 to 3.13: run this there, after"
    " `make test` or `pip install atheris`. Without it, `python -m pytest tests/campaigns/fuzz` tries every seed"
    " and a fixed number of mutations.\n"
)


def main(argv: list[str], *, find: Callable[[str], object] = importlib.util.find_spec) -> int:
    """Fuzz the targets one after the other and print a table; 1 when something was found, 2 when it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)}; all of them by default")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target (%(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=_FOLDER, help="keeps what reached new lines, and findings (%(default)s)"
    )
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.targets if name not in TARGETS]
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if find("atheris") is None:
        sys.stderr.write(NO_FUZZER)
        return 2
    outcomes = []
    for name in arguments.targets or TARGETS:
        outcome = campaign(TARGETS[name], seconds=arguments.seconds, folder=arguments.folder)
        outcomes.append(outcome)
        sys.stderr.write(f"{name}: {outcome.executions} executions, {len(outcome.findings)} findings\n")
    sys.stdout.write(table(outcomes))
    return 0 if all(outcome.ended_well and not outcome.findings for outcome in outcomes) else 1


def table(outcomes: Iterable[Outcome]) -> str:
    """What was done, what was found, and where the inputs are."""
    outcomes = tuple(outcomes)
    rows = [_COLUMNS] + [
        (each.name, str(each.seconds), str(each.executions), str(each.corpus), str(len(each.findings)))
        for each in outcomes
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for each in outcomes:
        if each.findings or not each.ended_well:
            lines += ["", f"{each.name}: see the end of {each.log}"]
            lines += [f"  {path}" for path in each.findings]
    return os.linesep.join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
