"""What a run has observed: nouns only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.campaigns.soak.invariants import Findings

if TYPE_CHECKING:
    from tests.campaigns.soak.daemon import Stored


@dataclass
class Observations:
    """Counts and violations.

    `stored`: the storage at each day's end. `outcomes`: requests by outcome. `defects`: other violations. `seconds`: of
    real time.
    """

    days: int
    seed: int
    events: Counter[str] = field(default_factory=Counter)
    scrapes: int = 0
    polls: float = 0.0
    published: Findings = field(default_factory=Findings)
    settled: Findings = field(default_factory=Findings)
    stored: list[Stored] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
