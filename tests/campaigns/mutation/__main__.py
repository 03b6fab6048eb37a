"""Runs mutmut on `core` and `vod` and reports mutants that no test detects.

`python -m tests.campaigns.mutation`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.campaigns.mutation.accepted import accepted_on, is_wording
from tests.campaigns.mutation.results import (
    Change,
    Mutant,
    change,
    mutants,
    table,
)
from tests.campaigns.mutation.working_copy import ROOT, modules_of, prepare

MUTMUT = Path(sys.executable).with_name("mutmut")
PAGE = ROOT / "docs" / "design" / "mutation.md"


def main(argv: list[str]) -> int:
    """Run mutmut in a working copy and print a table; 1 if a mutant survived that the page does not accept."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.mutation", description=__doc__)
    parser.add_argument("parts", nargs="*", default=["core", "vod"], metavar="PART", help="core, vod, core/plan, ...")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (%(default)s)")
    arguments = parser.parse_args(argv)
    try:
        modules = modules_of(arguments.parts)
    except LookupError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as directory:
        work = Path(directory)
        prepare(work, modules)
        run = subprocess.run([MUTMUT, "run", "--max-children", str(arguments.at_once)], cwd=work, check=False)
        if run.returncode:
            return run.returncode
        found = list(mutants(work))
        changes = {mutant: _change(work, mutant) for mutant in found if mutant.result in {"survived", "no test"}}
    known = accepted_on(PAGE.read_text(encoding="utf-8"))
    stays = {mutant for mutant, each in changes.items() if is_wording(each) or str(each) in known}
    sys.stdout.write(f"\n{table(found, stays)}\n\n")
    unaccepted = [f"{each}\n" for mutant, each in changes.items() if mutant not in stays]
    sys.stdout.writelines(unaccepted)
    return 1 if unaccepted else 0


def _change(work: Path, mutant: Mutant) -> Change:
    shown = subprocess.run([MUTMUT, "show", mutant.name], cwd=work, check=True, capture_output=True, text=True)
    return change(mutant, shown.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
