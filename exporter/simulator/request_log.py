"""The requests and their outcomes: counts of all, details of the latest, no secrets."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWERED: Final = "OK"
_MAX_CALLS: Final = 10_000


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """One request. `at`: seconds since 1970. `outcome`: ANSWERED, an error code, or the name of a fault.

    `parameters` holds only those that the action defines: no credentials and nothing unknown.
    """

    at: float
    request_id: str
    action: str
    parameters: Mapping[str, str]
    outcome: str


class RequestLog:
    """Counts every call and stores the last ten thousand."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._calls: deque[LoggedCall] = deque(maxlen=_MAX_CALLS)

    def add(self, call: LoggedCall) -> None:
        """Record a finished call."""
        self._counts[call.action, call.outcome] += 1
        self._calls.append(call)

    def clear(self) -> None:
        """Remove all calls and counts."""
        self._counts.clear()
        self._calls.clear()

    @property
    def calls(self) -> tuple[LoggedCall, ...]:
        """The latest calls, oldest first."""
        return tuple(self._calls)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of calls by action and outcome."""
        by_action: dict[str, dict[str, int]] = {}
        for (action, outcome), count in self._counts.items():
            by_action.setdefault(action, {})[outcome] = count
        return by_action
