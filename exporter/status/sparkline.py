"""Draw thirty numbers as a small line chart; an unknown day is a gap, never a zero."""

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
    """A chart, WIDTH by HEIGHT units.

    * `path`: SVG path data with a line for each run of known days; a single day is a point.
    * `last`: the position (x, y) of the newest day, None: it is not known.
    * `least`, `most`: the extremes of the known days, None: there are none. `unknown`: the number of unknown days.
    """

    path: str
    last: tuple[float, float] | None
    least: float | None
    most: float | None
    unknown: int


def sparkline(values: Sequence[float | None]) -> Sparkline:
    """Return the chart of equidistant values, from zero to the largest; None: not known."""
    known = [finite(value) for value in values if value is not None]
    top = max([0.0, *known])
    points = [
        None if value is None else (_x(at, len(values)), _y(finite(value), top)) for at, value in enumerate(values)
    ]
    commands = []
    for at, point in enumerate(points):
        if point is None:
            continue
        begins = at == 0 or points[at - 1] is None
        commands.append(f"{'M' if begins else 'L'}{point[0]:g} {point[1]:g}")
        if begins and (at + 1 == len(points) or points[at + 1] is None):
            commands.append("h0")  # with round line caps, a line of no length is a point
    return Sparkline(
        path="".join(commands),
        last=points[-1] if points else None,
        least=min(known, default=None),
        most=max(known, default=None),
        unknown=len(values) - len(known),
    )


def _x(at: int, count: int) -> float:
    return round(_MARGIN + at * (WIDTH - 2 * _MARGIN) / max(1, count - 1), 1)


def _y(value: float, top: float) -> float:
    share = max(0.0, value / top) if top else 0.0
    return round(HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN), 1)
