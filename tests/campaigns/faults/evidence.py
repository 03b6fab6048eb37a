"""What is left of a case when it is over: all that the invariants look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.campaigns.faults.cases import Case
    from tests.campaigns.faults.oracle import Call, Place, Said
    from tests.campaigns.faults.scrapes import Scrape


@dataclass(frozen=True, slots=True)
class Evidence:
    """One case, from the last good poll before the fault to the first good one after it.

    * `before`, `after`, `recovered`: scrapes. `counters`: the two between which the fault was counted.
    * `said_before`: how many rows of each place had been said before the fault.
    * `met`: requests (or connections) that met the fault, `asked`: all that came while it lasted, `good`: those of
      them that were answered. `cut`: polls were cancelled while it lasted.
    * `wanted`: the places that are to be known after recovery, with a zero where nobody played.
    * `waits`: seconds, what the exporter slept. `polls`: how many polls of its query met the fault.
    * `events`: what was logged, `breaks`: what asyncio and the standard library complained of.
    * `tasks`, `descriptors`: what was left of it. `peak`: bytes of memory at most, where that was watched.
    """

    case: Case
    before: Scrape
    after: Scrape
    recovered: Scrape
    counters: tuple[Scrape, Scrape]
    said: Said
    said_before: Mapping[Place, int]
    met: tuple[Call, ...]
    asked: tuple[Call, ...]
    good: int
    cut: bool
    wanted: frozenset[Place]
    days_ago: frozenset[str] = frozenset({"0", "1"})
    waits: tuple[float, ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    breaks: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    descriptors: tuple[str, ...] = ()
    peak: int = 0
    secret: str = field(default="", repr=False)
