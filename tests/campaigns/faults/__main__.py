"""The matrices and environments as tables: `python -m tests.campaigns.faults`; `--brief`: as in `make test-all`."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from tests.campaigns.faults import environment_runner, environments
from tests.campaigns.faults.action_cases import MOMENTS, Action
from tests.campaigns.faults.action_invariants import INVARIANTS as OF_ACTIONS
from tests.campaigns.faults.cases import Moment, Selection
from tests.campaigns.faults.fault import Family
from tests.campaigns.faults.results import Results, results_of, results_of_action
from tests.campaigns.faults.table import table


def main(argv: list[str]) -> int:
    """Run the matrix on every core and print the table; 1 when a case failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.faults", description=__doc__)
    parser.add_argument(
        "--brief", action="store_true", help="as `make test-all` has it: not every fault for every selection"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has this in it")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (%(default)s)")
    arguments = parser.parse_args(argv)
    began = time.monotonic()
    found = Results()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.at_once, mp_context=context) as pool:
        cells = [
            pool.submit(results_of, *cell, briefly=arguments.brief, only=arguments.only)
            for cell in product(Family, Moment, Selection)
        ]
        of_actions = [
            pool.submit(results_of_action, *cell, briefly=arguments.brief, only=arguments.only)
            for cell in product(Action, MOMENTS)
        ]
        for cell in cells:
            found += cell.result()
        beside = time.monotonic()
        other = Results(OF_ACTIONS)
        for cell in of_actions:
            other += cell.result()
        between = time.monotonic()
        verified = environment_runner.CellResults()
        in_environments = environments.brief() if arguments.brief else environments.possible()
        for one in pool.map(
            environment_runner.results_of_cell, [cell for cell in in_environments if arguments.only in str(cell)]
        ):
            verified += one
            sys.stderr.write("".join(f"{wrong}\n" for wrong in one.wrong) or ".")
            sys.stderr.flush()
    if found.cases[""]:
        sys.stdout.write(table(found, seconds=beside - began) + "\n")
    if other.cases[""]:
        sys.stdout.write(table(other, seconds=between - beside, counted=("actions", Action)) + "\n")
    if verified.cells:
        sys.stdout.write(environment_runner.table(verified, seconds=time.monotonic() - between) + "\n")
    failed = found.failed[""] or other.failed[""] or verified.failed
    return 1 if failed or not (found.cases[""] or other.cases[""] or verified.cells) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
