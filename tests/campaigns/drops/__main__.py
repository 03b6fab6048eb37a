"""The benchmark of the drop alerts: `python -m tests.campaigns.drops`, or `make drops`; writes its section of the page.

DROPS_TOOL=SCORE.PY, or --tool=SCORE.PY: a program that scores rules on other daily counts; its output is printed too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exporter.core.model import Dimensions
from tests.campaigns.drops import cost, page
from tests.campaigns.drops.accounts import ALL, account_wide, healthy, of_media, of_new_media
from tests.campaigns.drops.evaluation import evaluate, one_group
from tests.campaigns.drops.scoring import Score, score
from tests.deploy.promtool import FOLDER, ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.campaigns.drops.accounts import Account

_SEEDS: Final = range(4)
# The incident is in the middle; before it the account's step is compared with those of three weeks, or with none.
_LONG: Final = 2 * (3 * 7 + 2)
_SHORT: Final = 8


def accounts() -> dict[str, list[Account]]:
    """The accounts of each row of the table."""
    android, ios, web = Dimensions(os="Android"), Dimensions(os="iOS"), Dimensions("Web")
    shanghai, europe = Dimensions(region="cn-shanghai"), Dimensions(region="eu-central-1")
    wide = {
        f"Android gone ({page.MINUS}95 %)": ("os", -0.95, android, _SHORT),
        f"iOS gone ({page.MINUS}95 %)": ("os", -0.95, ios, _SHORT),
        f"iOS {page.MINUS}40 %": ("os", -0.40, ios, _SHORT),
        f"Web gone ({page.MINUS}95 %)": ("terminal", -0.95, web, _SHORT),
        f"cn-shanghai gone ({page.MINUS}95 %)": ("region", -0.95, shanghai, _SHORT),
        f"eu-central-1 gone ({page.MINUS}95 %)": ("region", -0.95, europe, _SHORT),
        f"the account {page.MINUS}30 %": ("account", -0.30, ALL, _LONG),
        f"the account {page.MINUS}30 %, after four days": ("account", -0.30, ALL, _SHORT),
        f"the account {page.MINUS}70 %": ("account", -0.70, ALL, _SHORT),
    }
    single = {
        "a video removed": ("removal", -1.0),
        f"a video {page.MINUS}80 %": ("media", -0.80),
        f"a video {page.MINUS}60 %": ("media", -0.60),
    }
    return {
        "none": [healthy(seed) for seed in range(6)],
        page.LARGE: [healthy(30 + seed, media=1_000, days=14, filters=(ALL,)) for seed in range(5)],
        **{
            row: [account_wide(kind, 10 + seed, change, dimensions, days=days) for seed in _SEEDS]
            for row, (kind, change, dimensions, days) in wide.items()
        },
        **{row: [of_media(kind, 20 + seed, change) for seed in _SEEDS] for row, (kind, change) in single.items()},
        "a new video removed": [of_new_media("removal", 20 + seed, -1.0) for seed in _SEEDS],
    }


def scores(rows: Mapping[str, Sequence[Account]], promtool: str) -> dict[str, Score]:
    """The score of each row."""
    found = {}
    for row, each in rows.items():
        with tempfile.TemporaryDirectory() as folder:
            firing = evaluate(each, Path(folder), promtool, at_once=os.cpu_count() or 1)
        found[row] = sum((score(account, firing[account.name]) for account in each), Score())
        sys.stderr.write(f"{row}: {found[row]}\n")
    return found


def costs() -> dict[int, tuple[cost.Cost, cost.Cost]]:
    """By number of media and slices: of a healthy day, and of one on which everything lost 70 %."""
    found = {}
    for size in cost.SIZES:
        both = []
        for change in (0.0, -0.70):
            with tempfile.TemporaryDirectory() as folder:
                both.append(cost.measure(size, change, Path(folder)))
        found[size] = (both[0], both[1])
        sys.stderr.write(f"{size}: {found[size]}\n")
    return found


def scored_by(tool: Path) -> str:
    """What a scoring program prints of the shipped rules and formula, with the Python on the path."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml", prefix="shipped-", encoding="utf-8") as rules:
        rules.write(one_group())
        rules.flush()
        expected = "exporter.core.expectation:expected_plays"
        arguments = [rules.name, "--days", "1,2,3,8,9,10", "--small", "--expected", expected]
        ran = subprocess.run(
            ["python3", tool.resolve(), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise SystemExit(f"{tool}: {ran.stderr or ran.stdout}")
        return ran.stdout.replace(Path(rules.name).name, "the shipped rules")


def main(argv: Sequence[str]) -> int:
    """Run everything, print the tables and write them into the page; 2 without promtool."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.drops", description=__doc__)
    # The newest, as promtool 2.42 now and then loses a sample of the days between.
    parser.add_argument("--promtool", default=shutil.which(FOLDER / "usr/bin/promtool") or shutil.which("promtool"))
    parser.add_argument("--tool", default=os.environ.get("DROPS_TOOL"), type=Path, help="the scoring program")
    parser.add_argument("--no-cost", action="store_true", help="leave the evaluation times of the page as they are")
    given = parser.parse_args(argv)
    if not given.promtool:
        sys.stderr.write("drops: needs promtool, of Debian's package prometheus, or make .venv/.prometheus3\n")
        return 2
    began = time.monotonic()
    sections = {"accuracy": page.accuracy(scores(accounts(), given.promtool))}
    if not given.no_cost:
        sections["cost"] = page.cost(costs())
    page.write(sections)
    printed = [*sections.values(), *([scored_by(given.tool)] if given.tool else [])]
    sys.stdout.write("\n\n".join(printed) + f"\n\n{time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
