"""The matrix of the other actions: every fault of one action at every moment, while play data is polled beside it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

from tests.campaigns.faults import action_faults
from tests.campaigns.faults.cases import Case, Moment, Selection
from tests.campaigns.faults.fault import Family

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.campaigns.faults.fault import Fault


class Action(StrEnum):
    """The action that gets the fault."""

    SEARCH = "SearchMedia"
    DETAILS = "GetVideoInfos"
    CATEGORIES = "GetCategories"
    PLAYER = "DescribeVodPlayerMetricData"


PERMISSION = "Forbidden.RAM"
# Only every third damaged answer: the matrix of play data has them all, and the actions share the code that reads them.
_EVERY = {Family.CODE: 1, Family.NETWORK: 1, Family.ANSWER: 3}
# A sweep is one of play data.
MOMENTS = tuple(moment for moment in Moment if moment is not Moment.SWEEP)


@dataclass(frozen=True, slots=True)
class ActionCase(Case):
    """One fault of one action at one moment; the play data beside it is that of all media."""

    action: Action

    def __str__(self) -> str:
        """`code · Forbidden.RAM · first poll · SearchMedia`."""
        return f"{self.fault.family} · {self.fault.name} · {self.moment} · {self.action}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it is counted under."""
        return self.fault.family, self.moment, self.action


@cache
def faults(action: Action) -> tuple[Fault, ...]:
    """Every fault of an action."""
    return action_faults.faults(action)


def possible() -> Iterator[ActionCase]:
    """Every fault of every action at every moment."""
    return (
        ActionCase(fault, moment, Selection.ALL, action)
        for action, moment in product(Action, MOMENTS)
        for fault in faults(action)
    )


def brief() -> Iterator[ActionCase]:
    """For each action, a missing permission at every moment and every false answer at one; other faults for one.

    Faults with megabytes take seconds: only of one action, in its first poll and in one that is cancelled.
    """
    for turn, action in enumerate(Action):
        for number, fault in enumerate(faults(action)):
            if fault.large:
                moments = [Moment.FIRST_POLL, Moment.SHUTDOWN] if action is Action.SEARCH else []
            elif fault.name == PERMISSION:
                moments = list(MOMENTS)
            elif fault.family is Family.LIE or number % (len(Action) * _EVERY[fault.family]) == turn:
                moments = [MOMENTS[(number + number // len(MOMENTS)) % len(MOMENTS)]]
            else:
                moments = []
            yield from (ActionCase(fault, moment, Selection.ALL, action) for moment in moments)
