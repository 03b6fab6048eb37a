"""The evidence of a case: everything that the invariants check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.campaigns.faults.action_cases import ActionCase
    from tests.campaigns.faults.action_service import ReturnedByActions
    from tests.campaigns.faults.cases import Case
    from tests.campaigns.faults.oracle import Call, Returned, RowKey
    from tests.campaigns.faults.scrapes import Scrape


@dataclass(frozen=True, slots=True)
class Evidence:
    """One case, from the last good poll before the fault to the first good one after it.

    * `before`, `after`, `recovered`: scrapes. `counters`: the two between which the fault was counted.
    * `returned_before`: how many rows of each place had been returned before the fault.
    * `affected`: requests (or connections) that got the fault, `received`: all requests during it, `good`: those of
      them with a correct response. `cut`: polls were cancelled during it.
    * `wanted`: the places that must be known after recovery, with a zero for media without plays.
    * `waits`: the sleeps of the exporter in seconds. `polls`: how many polls of its query got the fault.
    * `events`: log events, `breaks`: errors logged by asyncio and the standard library.
    * `tasks`, `descriptors`: leaked ones. `peak`: the peak of memory in bytes, if measured.
    """

    case: Case
    before: Scrape
    after: Scrape
    recovered: Scrape
    counters: tuple[Scrape, Scrape]
    returned: Returned
    returned_before: Mapping[RowKey, int]
    affected: tuple[Call, ...]
    received: tuple[Call, ...]
    good: int
    cut: bool
    wanted: frozenset[RowKey]
    days_ago: frozenset[str] = frozenset({"0", "1"})
    waits: tuple[float, ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    breaks: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    descriptors: tuple[str, ...] = ()
    peak: int = 0
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ActionEvidence(Evidence):
    """The evidence of a case of an action beside play data.

    * `play_data_waits`: the sleeps of the poll of play data beside it.
    * `rounds`: how often everything ran during the fault.
    * `problems`: what the page says after the fault about searches, metadata and players.
    """

    case: ActionCase
    returned: ReturnedByActions
    play_data_waits: tuple[float, ...] = ()
    rounds: int = 0
    problems: tuple[str, ...] = ()
