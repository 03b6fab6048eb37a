"""Runs months of the daemon in minutes: `python -m tests.campaigns.soak`; 1 if data is lost or wrong, or on a leak."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from tests.campaigns.soak.clock import Clock
from tests.campaigns.soak.report import Report
from tests.campaigns.soak.soak import Soak

# Contains a 29th of February and the start of summer time in the daemon's time zone.
START: Final = datetime.fromisoformat("2024-02-01T00:00:00+08:00").timestamp()
_SHOWN_VIOLATIONS: Final = 100


def main(argv: list[str]) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.soak", description=__doc__)
    parser.add_argument("--days", type=int, default=90, help="simulated days (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which schedule it takes (%(default)s)")
    arguments = parser.parse_args(argv)
    # Responses that are cut off on purpose are expected.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="soak"))
    console = Console(width=120)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("days", total=arguments.days)
        running = Soak(
            folder,
            Clock(folder / "clock", START),
            seed=arguments.seed,
            simulated_days=arguments.days,
            on_day=lambda day: progress.update(task, completed=day),
        )
        report = Report.of(running.run(), [life.sizes for life in running.daemon.lives], START)
    for table in report.tables():
        console.print(table)
    violations = report.violations()
    for line in violations[:_SHOWN_VIOLATIONS]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if len(violations) > _SHOWN_VIOLATIONS:
        console.print(f"... and {len(violations) - _SHOWN_VIOLATIONS} more")
    if report.good:
        shutil.rmtree(folder)
    else:
        console.print(f"logs and storage: {folder}")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
