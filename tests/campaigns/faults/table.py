"""The matrix as a text table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.campaigns.faults.cases import Moment, Selection, every, impossible
from tests.campaigns.faults.fault import Family

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum

    from tests.campaigns.faults.results import Results

_SHOWN_VIOLATIONS = 40


_OF_PLAY_DATA = ("media", Selection)


def table(found: Results, *, seconds: float, counted: tuple[str, Iterable[StrEnum]] = _OF_PLAY_DATA) -> str:
    """Passed cases by family, moment and `counted`; the number of checks of each invariant; the violations."""
    lines = [f"{'':28}{'cases':>8}{'passed':>8}{'failed':>8}"]
    for heading, kinds in (("faults", Family), ("moments", Moment), counted):
        lines.append(heading)
        lines += [_row(kind, found.cases[kind], found.failed[kind]) for kind in kinds if found.cases[kind]]
    lines += [_row("all", found.cases[""], found.failed[""], indent=""), ""]
    lines.append(f"{'invariant':42}{'cases':>8}{'looked at':>12}{'violated in':>13}")
    for invariant in found.invariants:
        name = invariant.__name__
        lines.append(f"{name:42}{found.verified[name]:>8}{found.checked[name]:>12,}{found.violated[name]:>13}")
        lines.append(f"    {invariant.__doc__}")
    if counted is _OF_PLAY_DATA:
        lines += ["", "not in it, because"]
        reasons = Counter(reason for case in every() if (reason := impossible(case)))
        lines += [f"{times:>8}  {reason}" for reason, times in reasons.items()]
    lines += ["", *found.wrong[:_SHOWN_VIOLATIONS]]
    if len(found.wrong) > _SHOWN_VIOLATIONS:
        lines.append(f"... and {len(found.wrong) - _SHOWN_VIOLATIONS} more")
    lines.append(f"{found.cases['']} cases, {found.failed['']} failed, {seconds:.0f} s")
    return "\n".join(lines)


def _row(name: str, cases: int, failed: int, *, indent: str = "  ") -> str:
    return f"{indent + name:28}{cases:>8}{cases - failed:>8}{failed:>8}"
