"""The matrix as a text table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.campaigns.faults.cases import Moment, Selection, every, impossible
from tests.campaigns.faults.fault import Family
from tests.campaigns.faults.invariants import INVARIANTS

if TYPE_CHECKING:
    from tests.campaigns.faults.verdict import Verdict

_SHOWN_VIOLATIONS = 40


def table(found: Verdict, *, seconds: float) -> str:
    """Passed cases by family, moment and selection; the number of checks of each invariant; the violations."""
    lines = [f"{'':24}{'cases':>8}{'passed':>8}{'failed':>8}"]
    for heading, kinds in (("faults", Family), ("moments", Moment), ("media", Selection)):
        lines.append(heading)
        lines += [_row(kind, found.cases[kind], found.failed[kind]) for kind in kinds if found.cases[kind]]
    lines += [_row("all", found.cases[""], found.failed[""], indent=""), ""]
    lines.append(f"{'invariant':34}{'cases':>8}{'looked at':>12}{'violated in':>13}")
    for invariant in INVARIANTS:
        name = invariant.__name__
        lines.append(f"{name:34}{found.verified[name]:>8}{found.checked[name]:>12,}{found.violated[name]:>13}")
        lines.append(f"    {invariant.__doc__}")
    lines += ["", "not in it, because"]
    reasons = Counter(reason for case in every() if (reason := impossible(case)))
    lines += [f"{times:>8}  {reason}" for reason, times in reasons.items()]
    lines += ["", *found.wrong[:_SHOWN_VIOLATIONS]]
    if len(found.wrong) > _SHOWN_VIOLATIONS:
        lines.append(f"... and {len(found.wrong) - _SHOWN_VIOLATIONS} more")
    lines.append(f"{found.cases['']} cases, {found.failed['']} failed, {seconds:.0f} s")
    return "\n".join(lines)


def _row(name: str, cases: int, failed: int, *, indent: str = "  ") -> str:
    return f"{indent + name:24}{cases:>8}{cases - failed:>8}{failed:>8}"
