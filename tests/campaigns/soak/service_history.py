"""What the service has returned, row by row, by metric; independent of the exporter's storage."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from exporter.core.model import Dimensions
from exporter.core.play_dates import PLAY_TIME_ZONE
from tests.campaigns.faults.oracle import ZEROS, number, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

Row = frozenset[tuple[str, float]]
"""Metrics and values that were returned together."""
Selection = tuple[Dimensions, "date"]
"""A slice, without the account: there is one."""

UNPLAYED: Row = frozenset(ZEROS.items())


@dataclass
class Returned:
    """Every row of every response, and media without plays, by slice and media.

    Error responses and truncated ones do not count.
    """

    answers: int = 0
    _rows: defaultdict[Selection, defaultdict[str, set[Row]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    _unplayed: defaultdict[Selection, set[str]] = field(default_factory=lambda: defaultdict(set))
    _lists: defaultdict[Selection, set[frozenset[str]]] = field(default_factory=lambda: defaultdict(set))
    _pages: dict[tuple[Selection, str, str], set[str]] = field(default_factory=dict)

    def record(self, parameters: Mapping[str, str], payload: Mapping[str, Any]) -> None:
        """Record a response."""
        self.answers += 1
        selection = _selection(parameters)
        listed = set()
        for row in payload.get("QoeInfoList") or ():
            self._rows[selection][row["MediaId"]].add(frozenset(numbers(row).items()))
            listed.add(row["MediaId"])
        if "MediaId" in parameters:
            self._unplayed[selection] |= {parameters["MediaId"]} - listed
            return
        sweep = selection, parameters.get("OrderName", ""), parameters["PageSize"]
        if parameters["PageNo"] == "1":
            self._pages[sweep] = set()
        seen = self._pages.setdefault(sweep, set())
        seen |= listed
        if len(seen) >= (number(payload.get("TotalCount")) or 0):
            self._lists[selection].add(frozenset(seen))

    def ever(self, selection: Selection, media_id: str, row: Row) -> bool:
        """Whether this row was returned as a whole, or it is zero and the media was returned without plays."""
        if selection in self._rows and row in self._rows[selection].get(media_id, ()):
            return True
        return row == UNPLAYED and (
            media_id in self._unplayed.get(selection, ())
            or any(media_id not in seen for seen in self._lists.get(selection, ()))
        )

    def forget(self, before: date) -> None:
        """Remove days that can no longer be published."""
        for known in (self._rows, self._unplayed, self._lists):
            for selection in [selection for selection in known if selection[1] < before]:
                del known[selection]
        self._pages = {sweep: seen for sweep, seen in self._pages.items() if sweep[0][1] >= before}


def _selection(parameters: Mapping[str, str]) -> Selection:
    day = datetime.strptime(parameters["PlayDate"], "%Y%m%d").replace(tzinfo=PLAY_TIME_ZONE).date()
    return Dimensions(parameters.get("TerminalType"), parameters.get("Os"), parameters.get("Region")), day
