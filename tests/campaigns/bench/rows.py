"""Measurements: a median with its spread, its ratio to another, and whether a goal is reached."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Goal:
    """The goal for a row's ratio, or for its figure if it has no ratio."""

    bound: float
    at_least: bool = False

    def reached(self, value: float) -> bool:
        """Whether a ratio or figure reaches the goal."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        """`at most 1.5` or `at least 300`."""
        return f"at {'least' if self.at_least else 'most'} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table.

    * `figure`: the median of the rounds, in `unit`; None if not measured, with the reason in `note`.
    * `spread`: the least and the most of the rounds; None if measured once.
    * `ratio`: `figure` as a multiple of the figure of the row called `against`.
    """

    name: str
    figure: float | None
    unit: str
    spread: tuple[float, float] | None = None
    ratio: float | None = None
    against: str = ""
    goal: Goal | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without a goal or measurement."""
        value = self.figure if self.ratio is None else self.ratio
        return None if self.goal is None or value is None else self.goal.reached(value)


@dataclass(frozen=True, slots=True)
class Section:
    """A table: its title, a paragraph on the method (markdown), its rows."""

    title: str
    how: str
    rows: tuple[Row, ...]


def row(
    name: str,
    unit: str,
    rounds: Iterable[float],
    *,
    against: Row | None = None,
    goal: Goal | None = None,
    note: str = "",
) -> Row:
    """A row of the measurements of all rounds (in `unit`), with the ratio to the row `against`.

    Without that row there is no goal either.
    """
    values = list(rounds)
    figure, spread = statistics.median(values), (min(values), max(values))
    if against is None:
        return Row(name, figure, unit, spread, goal=goal, note=note)
    if not against.figure:
        return Row(name, figure, unit, spread, note=note)
    return Row(name, figure, unit, spread, figure / against.figure, against.name, goal, note)


def missing(name: str, unit: str, why: str) -> Row:
    """A row that could not be measured."""
    return Row(name, None, unit, note=why)
