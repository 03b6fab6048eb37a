"""The tables of the benchmark, and their places in docs/design/drop-alerts.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.campaigns.drops.scoring import Score
from tests.deploy.promtool import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.campaigns.drops.cost import Cost

PAGE: Final = ROOT / "docs" / "design" / "drop-alerts.md"
MINUS: Final = "\N{MINUS SIGN}"
DAYS_BETWEEN: Final = 30
LARGE: Final = "none, of 1,000 media"


def accuracy(scores: Mapping[str, Score]) -> str:
    """A row for each kind of incident, and what healthy days had."""
    large = scores.get(LARGE, Score())
    healthy = Score()
    for row, each in scores.items():
        if row != LARGE:
            healthy += Score(false=each.false, days=each.days)
    lines = [
        "| incident | number | found on the first day | within three days | mean delay | alerts that day | precision |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row, each in scores.items():
        if each.incidents:
            delay = f"{each.delay / each.found:.1f} d" if each.found else ""
            right = Score(incidents=each.incidents, found=each.found, false=healthy.false, days=healthy.days)
            lines.append(
                f"| {row} | {each.incidents} | {_percent(each.first_day / each.incidents)}"
                f" | {_percent(each.found / each.incidents)} | {delay} | {each.first_alerts / each.incidents:.1f}"
                f" | {_percent(right.precision(DAYS_BETWEEN))} |"
            )
    per_day = healthy.false / healthy.days if healthy.days else 0.0
    found = f"False alerts on {healthy.days} healthy days of accounts: {healthy.false}, {per_day:.3f} a day"
    lines += ["", f"{found}; on {large.days} days of accounts of 1,000 media: {large.false}."]
    return "\n".join(lines)


def cost(costs: Mapping[int, tuple[Cost, Cost]]) -> str:
    """A row for each number of media and slices."""
    lines = [
        "| media × slices | processor time, healthy day | alerts | everything \u2212\u200970 % | alerts |".replace(
            "\u2009", ""
        ),
        "|--:|--:|--:|--:|--:|",
    ]
    for size, (calm, storm) in costs.items():
        lines.append(f"| {size:,} | {calm.seconds:.2f} s | {calm.alerts} | {storm.seconds:.2f} s | {storm.alerts} |")
    return "\n".join(lines)


def write(sections: Mapping[str, str]) -> None:
    """Replace each section between its marks; the others stay."""
    text = PAGE.read_text(encoding="utf-8")
    for name, section in sections.items():
        begin, end = f"<!-- make drops: {name} -->", f"<!-- end of {name} -->"
        marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        found = marked.search(text)
        if not found:
            raise ValueError(f"{PAGE.name} has no {begin}")
        text = text.replace(found[0], f"{begin}\n{section}\n{end}")
    PAGE.write_text(text, encoding="utf-8")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
