"""The matrix: every fault at every moment for every selection of media, and the impossible cases with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

from tests.campaigns.faults import broken_responses, codes, false_responses, network
from tests.campaigns.faults.fault import ConnectionFault, Family, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator


class Moment(StrEnum):
    """When the fault occurs."""

    FIRST_POLL = "first poll"
    LATER_POLL = "later poll"
    PAGE_1 = "page 1"
    LAST_PAGE = "last page"
    SWEEP = "during a sweep"
    RELOAD = "during a reload"
    MIDNIGHT = "around midnight"
    SHUTDOWN = "during shutdown"


class Selection(StrEnum):
    """Which media are requested."""

    IDS = "ids"
    TOP = "top"
    ALL = "all"


OF_A_PAGE = (Moment.PAGE_1, Moment.LAST_PAGE, Moment.SWEEP)


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one moment for one selection."""

    fault: Fault
    moment: Moment
    selection: Selection

    def __str__(self) -> str:
        """`code · Meter.AuthError · first poll · top`."""
        return f"{self.fault.family} · {self.fault.name} · {self.moment} · {self.selection}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it is counted under."""
        return self.fault.family, self.moment, self.selection


@cache
def faults() -> tuple[Fault, ...]:
    """Every fault there is."""
    return (*codes.faults(), *network.faults(), *broken_responses.faults(), *false_responses.faults())


def every() -> Iterator[Case]:
    """Every combination, those that cannot be included."""
    return (Case(*each) for each in product(faults(), Moment, Selection))


def impossible(case: Case) -> str:
    """Why a combination is impossible; empty if it is possible."""
    fault = case.fault
    if fault.connection_fault is ConnectionFault.UNKNOWN_NAME and case.moment not in (Moment.RELOAD, Moment.SHUTDOWN):
        return "an endpoint gets another name by a reload or a restart only"
    if fault.connection_fault is not ConnectionFault.NONE and case.moment in OF_A_PAGE:
        return "a connection is not one of a page"
    if fault.name == "the whole list for one video" and (
        case.selection is not Selection.IDS or case.moment is Moment.FIRST_POLL
    ):
        return "no media is requested by its ID then"
    if fault.family is Family.LIE and case.selection is Selection.IDS and fault.name.startswith(_OF_LISTS):
        return "no list is requested where media are requested by their IDs"
    if fault.endless and case.selection is Selection.ALL and case.moment is not Moment.SWEEP:
        return "ten thousand calls: once is enough"
    return ""


_OF_LISTS = ("page ", "least first", "a list without end")


def possible() -> Iterator[Case]:
    """Every possible combination."""
    return (case for case in every() if not impossible(case))


def brief() -> Iterator[Case]:
    """Every code and every false response at every moment for every selection; other faults at every second, for one.

    Bad connections and literals are detected before the selection of media matters. Faults with megabytes take seconds:
    only in a first poll and in one that is cancelled.
    """
    turns = {fault: turn for turn, fault in enumerate(faults())}
    selections = list(Selection)
    for case in possible():
        turn = turns[case.fault] + list(Moment).index(case.moment)
        if case.fault.large:
            chosen = case.selection is Selection.TOP and case.moment in (Moment.FIRST_POLL, Moment.SHUTDOWN)
        elif case.fault.family is Family.LIE or is_code(case.fault):
            chosen = True
        else:
            chosen = turn % 2 == 0 and case.selection is selections[turn % 3]
        if chosen:
            yield case


def is_code(fault: Fault) -> bool:
    """Whether it is an error code of the API or of its gateway."""
    return fault.name in codes.ERRORS
