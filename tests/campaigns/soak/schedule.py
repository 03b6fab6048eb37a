"""The events of each simulated day, chosen by a seed: pure, so that a schedule can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from exporter.core import play_dates
from exporter.simulator.broken_responses import BROKEN_RESPONSES
from exporter.simulator.error_responses import API_ERRORS
from exporter.simulator.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

HOUR: Final = 3600.0
# From then on there are no events until midnight: the day is checked, and every failure must have recovered.
CALM_HOUR: Final = 21.0
AUDIT_HOUR: Final = 23.5

# False responses with status 200: rows without numbers, no rows. A repeated one cannot be told from the truth, so each
# occurs once for a day that can be final.
LIES: Final = ("nulls", "missing", "null_list", "no_list")
_HONEST: Final = tuple(code for code in (*API_ERRORS, *BROKEN_RESPONSES) if code not in LIES)
_SILENT: Final = ("stall", "trickle")
"""They keep a poll waiting for its timeouts; real ones last minutes, and so do these."""


@dataclass(frozen=True, slots=True)
class ServiceConditions:
    """The service's conditions until then; counted under `name`."""

    at: float
    until: float
    name: str
    conditions: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reload:
    """A changed configuration and SIGHUP."""

    at: float


@dataclass(frozen=True, slots=True)
class InvalidReload:
    """An invalid configuration and SIGHUP; the valid one is restored before `until`."""

    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Rotation:
    """Another key at the service; its two files follow after `id_after` and `secret_after` seconds."""

    at: float
    id_after: float
    secret_after: float


How = Literal["idle", "asking", "published", "stopped"]
_HOWS: Final[tuple[How, ...]] = get_args(How)


@dataclass(frozen=True, slots=True)
class End:
    """The daemon is killed or stopped, and starts again after `down` seconds.

    Moments of being killed: `idle`, `asking` (in the middle of a request), `published` (numbers may be being written).
    """

    at: float
    how: How
    down: float


Event = ServiceConditions | Reload | InvalidReload | Rotation | End


def schedule(seed: int, start: float, simulated_days: int) -> tuple[Event, ...]:
    """All events in order, from `start` (00:00 UTC+8) on; the first six hours are calm.

    The daemon is not ended during the middle third, so that a leak shows; other events go on.
    """
    chance = Random(seed)  # noqa: S311 - events, not secrets
    spared = range(int(simulated_days * 0.4), int(simulated_days * 0.4 + simulated_days / 3))
    events: list[Event] = []
    for number in range(simulated_days):
        midnight = start + number * 24 * HOUR
        first = 6.0 if number == 0 else 0.2
        events += _service_conditions(chance, midnight, first)
        events += _operator(chance, midnight, first)
        if number not in spared:
            events += _ends(chance, midnight, first)
    return tuple(sorted(events, key=lambda event: event.at))


def _moment(chance: Random, midnight: float, first: float) -> float:
    return midnight + chance.uniform(first, CALM_HOUR - 1) * HOUR


def _service_conditions(chance: Random, midnight: float, first: float) -> Iterator[ServiceConditions]:
    """Three to six periods, one after the other."""
    periods = chance.randint(3, 6)
    at = midnight + first * HOUR
    room = (CALM_HOUR - first) * HOUR / periods
    for number in range(periods):
        begins = at + number * room + chance.uniform(0, room / 3)
        name, conditions, longest = _period(chance, midnight)
        lasts = chance.uniform(0.1, 0.6) * room
        yield ServiceConditions(begins, begins + min(lasts, longest), name, conditions)


_KINDS: Final = {
    "errors": 10,
    "silence": 2,
    "late day": 2,
    "lies": 3,
    "throttling": 2,
    "skewed clock": 1,
    "latency": 1,
}
"""By how often they come, relative to each other."""


def _period(chance: Random, midnight: float) -> tuple[str, dict[str, Any], float]:
    """Its name, conditions and longest duration in seconds."""
    (kind,) = chance.choices(tuple(_KINDS), tuple(_KINDS.values()))
    match kind:
        case "throttling":
            header = chance.choice(["x-acs-retry-after", "x-ratelimit-user-api", "retry-after", "none"])
            conditions: dict[str, Any] = {"rate": chance.choice([0.5, 2.0]), "wait_header": header}
        case "skewed clock":
            # More than 15 minutes off, it rejects every signature; below, its days start at another time than the
            # exporter's.
            conditions = {"clock_offset": chance.choice([-1200.0, -240.0, 240.0, 1200.0])}
        case "latency":
            conditions = {"latency": chance.choice([0.5, 4.0])}
        case _:
            conditions = {"faults": _faults(kind, chance, midnight)}
    return kind, conditions, {"silence": 0.6, "latency": 1.0, "skewed clock": 2.0}.get(kind, 8.0) * HOUR


def _faults(kind: str, chance: Random, midnight: float) -> tuple[Fault, ...]:
    match kind:
        case "silence":
            return (Fault(chance.choice(_SILENT), chance.choice([0.1, 0.3])),)
        case "late day":
            # Yesterday is computed late, perhaps long after 09:00.
            return (Fault("Meter.ReadyTsError", when=_on(midnight, 1)),)
        case "lies":
            lie = chance.choice(LIES)
            today = Fault(lie, chance.choice([0.2, 1.0]), when=_on(midnight, 0))
            return (today, *(Fault(lie, times=1, when=_on(midnight, ago)) for ago in (1, 2)))
        case _:
            codes = chance.sample([code for code in _HONEST if code not in _SILENT], chance.randint(1, 3))
            return tuple(Fault(code, chance.choice([0.1, 0.3, 1.0]), wait=_wait(chance, code)) for code in codes)


def _on(midnight: float, days_ago: int) -> dict[str, str]:
    day: date = play_dates.play_date(midnight + HOUR, days_ago)
    return {"PlayDate": f"{day:%Y%m%d}"}


def _wait(chance: Random, code: str) -> float | None:
    return chance.choice([None, 1.0, 40.0]) if code.startswith("Throttling") else None


def _operator(chance: Random, midnight: float, first: float) -> Iterator[Event]:
    for _ in range(chance.randint(0, 2)):
        yield Reload(_moment(chance, midnight, first))
    if chance.random() < 0.3:
        at = _moment(chance, midnight, first)
        yield InvalidReload(at, at + chance.uniform(0.05, 1.0) * HOUR)
    if chance.random() < 0.4:
        delays: Sequence[float] = [chance.choice([0.0, chance.uniform(0, 0.5 * HOUR)]) for _ in range(2)]
        yield Rotation(_moment(chance, midnight, first), *delays)


def _ends(chance: Random, midnight: float, first: float) -> Iterator[End]:
    for _ in range(chance.choice([0, 1, 1, 2])):
        how = chance.choice(_HOWS)
        down = chance.choice([0.0, 0.0, chance.uniform(0, 4 * HOUR)])
        yield End(_moment(chance, midnight, first), how, down)
