"""The result of many cases: how many passed, the checks of each invariant, and the violations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tests.campaigns.faults import action_cases, action_runner
from tests.campaigns.faults.action_invariants import INVARIANTS as OF_ACTIONS
from tests.campaigns.faults.case_runner import run_cases
from tests.campaigns.faults.cases import brief, possible
from tests.campaigns.faults.invariants import INVARIANTS, findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.campaigns.faults.action_cases import Action
    from tests.campaigns.faults.cases import Case, Moment, Selection
    from tests.campaigns.faults.evidence import Evidence
    from tests.campaigns.faults.fault import Family

_SHOWN_VIOLATIONS = 2


@dataclass
class Results:
    """Counts by what a case is counted under, and by invariant; `wrong` has a line for each violation."""

    invariants: tuple[Callable[[Any], Iterator[str | None]], ...] = INVARIANTS
    cases: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    verified: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    violated: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def check(self, evidence: Evidence) -> None:
        """Check a case against every invariant."""
        passed = True
        for name, finding in findings(evidence, self.invariants).items():
            self.verified[name] += finding.checked > 0
            self.checked[name] += finding.checked
            self.violated[name] += bool(finding.wrong)
            passed = passed and not finding.wrong
            self.wrong += [f"{evidence.case}: {name}: {wrong}" for wrong in finding.wrong[:_SHOWN_VIOLATIONS]]
        for kind in ("", *evidence.case.kinds):
            self.cases[kind] += 1
            self.failed[kind] += not passed

    def __iadd__(self, other: Self) -> Self:
        """Both together."""
        for mine, theirs in zip(self._counts(), other._counts(), strict=True):
            mine.update(theirs)
        self.wrong += other.wrong
        return self

    def _counts(self) -> tuple[Counter[str], ...]:
        return self.cases, self.failed, self.verified, self.checked, self.violated


def results_of_cases(cases: Iterable[Case]) -> Results:
    """Run cases and check them."""
    found = Results()
    if kept := run_cases(cases, found.check):
        found.wrong.append(f"{kept} exporters that were closed are still in memory")
    return found


def results_of(
    family: Family, moment: Moment, selection: Selection, *, briefly: bool = True, only: str = ""
) -> Results:
    """Run all cases of one cell, briefly or not, whose names contain `only`."""
    cell = family, moment, selection
    cases = brief() if briefly else possible()
    return results_of_cases(c for c in cases if (c.fault.family, c.moment, c.selection) == cell and only in str(c))


def results_of_action(action: Action, moment: Moment, *, briefly: bool = True, only: str = "") -> Results:
    """Run all cases of an action at a moment, briefly or not, whose names contain `only`."""
    found = Results(OF_ACTIONS)
    cases = action_cases.brief() if briefly else action_cases.possible()
    chosen = (case for case in cases if (case.action, case.moment) == (action, moment) and only in str(case))
    if kept := action_runner.run_cases(chosen, found.check):
        found.wrong.append(f"{kept} exporters that were closed are still in memory")
    return found
