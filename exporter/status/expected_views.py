"""The types of what the page and `/api/v1/status` show of expected plays."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from exporter.status.model import State


class Expected(StrEnum):
    """Whether plays are expected of a query or account, and if not, why."""

    ON = "on"
    OFF = "off"  # by its setting `expected`
    NO_YESTERDAY = "no_yesterday"  # its `days_ago` does not contain 1


@dataclass(frozen=True, slots=True)
class MissingDay:
    """A day that must settle before plays can be expected; `state`: why it is not settled yet.

    `final_from`: when it can be final, in seconds since 1970, if that is in the future.
    """

    play_date: date
    state: State
    final_from: float | None


@dataclass(frozen=True, slots=True)
class ExpectationView:
    """The last settled day of some filter combinations of a query; None while no plays can be expected.

    `missing`: the days that must settle for that, or for a newer day if the last one is older than two days.
    """

    play_date: date | None
    combinations: int
    missing: tuple[MissingDay, ...]


@dataclass(frozen=True, slots=True)
class LossView:
    """The plays of an account on its last settled day against those expected, in the combination with fewest filters.

    * `play_date`: None while no plays can be expected; `missing` are the days that must settle for that, as of a query.
    * `media`: the number of media with expected plays. `plays`, `expected`, `lost`: their sums, None without any.
    * `dropped`: how many of them lost more than half of at least 100 expected plays.
    """

    account: str
    terminal_type: str = "all"
    os: str = "all"
    region: str = "all"
    setting: Expected = Expected.ON
    play_date: date | None = None
    media: int = 0
    plays: int | float | None = None
    expected: int | float | None = None
    lost: int | float | None = None
    dropped: int = 0
    missing: tuple[MissingDay, ...] = ()
