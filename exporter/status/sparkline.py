"""Thirty numbers → the lines of a small chart; a day that is not known is a gap, never a zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.status.formatting import finite

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 120
HEIGHT: Final = 28
_MARGIN: Final = 3


@dataclass(frozen=True, slots=True)
class Sparkline:
    """The chart, in units of WIDTH and HEIGHT.

    * `path`: a line for each run of days that are known, as SVG writes them; a single day is a point.
    * `last`: where the newest day is, None: it is not known.
    * `least`, `most`: of the days known, None: there are none. `unknown`: how many days are gaps.
    """

    path: str
    last: tuple[float, float] | None
    least: float | None
    most: float | None
    unknown: int


def sparkline(values: Sequence[float | None]) -> Sparkline:
    """The chart of values at equal distances, from zero up to the largest."""
    known = [finite(value) for value in values if value is not None]
    top = max([0.0, *known])
    points = [
        None if value is None else (_across(at, len(values)), _up(finite(value), top))
        for at, value in enumerate(values)
    ]
    commands = []
    for at, point in enumerate(points):
        if point is None:
            continue
        begins = at == 0 or points[at - 1] is None
        commands.append(f"{'M' if begins else 'L'}{point[0]:g} {point[1]:g}")
        if begins and (at + 1 == len(points) or points[at + 1] is None):
            commands.append("h0")  # with round ends, a line without length is a point
    return Sparkline(
        path="".join(commands),
        last=points[-1] if points else None,
        least=min(known, default=None),
        most=max(known, default=None),
        unknown=len(values) - len(known),
    )


def _across(at: int, count: int) -> float:
    return round(_MARGIN + at * (WIDTH - 2 * _MARGIN) / max(1, count - 1), 1)


def _up(value: float, top: float) -> float:
    share = max(0.0, value / top) if top else 0.0
    return round(HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN), 1)
