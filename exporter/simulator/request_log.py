"""What was asked and how it ended: counts of everything, the latest calls in full, never anything secret."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWERED: Final = "OK"
_CALLS_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `at`: seconds since 1970. `outcome`: ANSWERED, an error code, or the name of a fault.

    `parameters` holds those of the action only: neither credentials nor what somebody else may have sent.
    """

    at: float
    request_id: str
    action: str
    parameters: Mapping[str, str]
    outcome: str


class RequestLog:
    """Every call is counted; the last ten thousand are kept."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._calls: deque[Call] = deque(maxlen=_CALLS_KEPT)

    def note(self, call: Call) -> None:
        """A call has ended."""
        self._counts[call.action, call.outcome] += 1
        self._calls.append(call)

    def forget(self) -> None:
        """Start over."""
        self._counts.clear()
        self._calls.clear()

    @property
    def calls(self) -> tuple[Call, ...]:
        """The latest calls, oldest first."""
        return tuple(self._calls)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many calls: by action, then by outcome."""
        by_action: dict[str, dict[str, int]] = {}
        for (action, outcome), count in self._counts.items():
            by_action.setdefault(action, {})[outcome] = count
        return by_action
