"""Runs more histories than the test suite: `python -m tests.campaigns.stateful [--histories N] [--steps N]`."""

from __future__ import annotations

import argparse
import sys

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.campaigns.stateful.history import History


def main(argv: list[str]) -> int:
    """Generate histories until one fails, which is printed with its steps, or all have passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.stateful", description=__doc__)
    parser.add_argument("--histories", type=int, default=2_000, metavar="N", help="%(default)s")
    parser.add_argument("--steps", type=int, default=40, metavar="N", help="of each, at the most (%(default)s)")
    arguments = parser.parse_args(argv)
    deep = settings(
        max_examples=arguments.histories,
        stateful_step_count=arguments.steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(History, settings=deep)
    sys.stdout.write(f"{arguments.histories} histories of up to {arguments.steps} steps: all well\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
