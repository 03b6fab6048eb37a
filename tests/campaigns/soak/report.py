"""The result of a soak, and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table

from tests.campaigns.soak.invariants import growth
from tests.campaigns.soak.queries import RETENTION_DAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.campaigns.soak.daemon import Size, Stored
    from tests.campaigns.soak.observations import Observations

# From then on as many days are deleted as are added: nothing may grow.
FULL_DAYS: Final = RETENTION_DAYS + 2
_LEAST_SIZES: Final = 48
_LEAST_DAYS: Final = 10
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SteadyValue:
    """A value that should be constant: from and to (medians of thirds), the allowed growth, the duration."""

    name: str
    first: float
    last: float
    grown: float
    allowed: float
    over: str

    @property
    def leaks(self) -> bool:
        return self.grown > self.allowed


def steady_values(lives: Sequence[Sequence[Size]], stored: Sequence[Stored], full_at: float) -> list[SteadyValue]:
    """Memory and descriptors of every long process from `full_at` on; the storage at the ends of days."""
    found = []
    for number, sizes in enumerate(lives, 1):
        held = [size for size in sizes if size.at >= full_at]
        # The initial growth of a process: its pools and caches.
        held = held[len(held) // 5 :]
        if len(held) >= _LEAST_SIZES:
            found += [_flat(held, number, *row) for row in _OF_LIVES]
    for name, bytes_, allowed in (
        ("storage file, KiB", [size.file for size in stored], 0.05),
        ("its write-ahead log, KiB", [size.log for size in stored], 0.5),
    ):
        full = [size / 1024 for size in bytes_[FULL_DAYS:]]
        if len(full) >= _LEAST_DAYS:
            found.append(_of(name, full, allowed, f"{len(full)} days"))
    return found


_OF_LIVES: Final[tuple[tuple[str, Callable[[Size], float], float], ...]] = (
    ("memory, MiB", lambda size: size.resident / _MIB, 0.04),
    ("descriptors", lambda size: float(size.descriptors), 0.1),
)


def _flat(sizes: Sequence[Size], number: int, name: str, value: Callable[[Size], float], part: float) -> SteadyValue:
    lasted = (sizes[-1].at - sizes[0].at) / 86_400
    return _of(name, [value(size) for size in sizes], part, f"{lasted:.1f} days of life {number}")


def _of(name: str, values: Sequence[float], part: float, over: str) -> SteadyValue:
    third = max(1, len(values) // 3)
    first, last = median(values[:third]), median(values[-third:])
    return SteadyValue(name, first, last, growth(values), part * first, over)


@dataclass(frozen=True)
class Report:
    """The result of the observations; `lives`: the sizes of each process of the daemon."""

    seen: Observations
    lives: Sequence[Sequence[Size]]
    steady_values: Sequence[SteadyValue]

    @classmethod
    def of(cls, seen: Observations, lives: Sequence[Sequence[Size]], start: float) -> Report:
        """The report of a run that started at `start` (seconds since 1970)."""
        return cls(seen, lives, steady_values(lives, seen.stored, start + FULL_DAYS * 86_400))

    @property
    def lost(self) -> list[str]:
        return _once(self.seen.settled.lost)

    @property
    def wrong(self) -> list[str]:
        return _once(self.seen.published.wrong + self.seen.settled.wrong)

    @property
    def leaks(self) -> list[str]:
        return [
            f"{flat.name}: {flat.first:.1f} to {flat.last:.1f} in {flat.over}"
            for flat in self.steady_values
            if flat.leaks
        ]

    @property
    def good(self) -> bool:
        return not (self.lost or self.wrong or self.leaks or self.seen.defects)

    def tables(self) -> list[Table]:
        """The text tables."""
        seen = self.seen
        total = _table("", f"{seen.days} simulated days, seed {seen.seed}")
        total.add_row("took", f"{seen.seconds / 60:.1f} min")
        answered = seen.outcomes.get("OK", 0)
        faults = sum(seen.outcomes.values()) - answered
        for name, number in (
            ("polls that ended", int(seen.polls)),
            ("requests answered rightly", answered),
            ("faults met by requests", faults),
            ("spells, reloads, rotations, ends", sum(seen.events.values())),
            ("runs of the daemon", len(self.lives)),
            ("scrapes", seen.scrapes),
            ("rows of scrapes checked", seen.published.checked),
            ("rows of storage checked", seen.settled.checked),
            ("settled wants that storage owed", seen.settled.missing_days),
            ("values lost", len(self.lost)),
            ("values wrong", len(self.wrong)),
            ("leaks", len(self.leaks)),
            ("other defects", len(seen.defects)),
        ):
            total.add_row(name, f"{number:,}")
        events = _table("what happened", "times")
        for name, times in sorted(seen.events.items()):
            events.add_row(name, f"{times:,}")
        outcomes = _table("requests that met", "times")
        for name, times in sorted(seen.outcomes.items(), key=lambda one: -one[1]):
            outcomes.add_row(name, f"{times:,}")
        flat = Table("flat", "first third", "last third", "grown", "allowed", "over", box=box.MARKDOWN)
        for one in self.steady_values:
            numbers = (f"{number:.2f}" for number in (one.first, one.last, one.grown, one.allowed))
            flat.add_row(one.name, *numbers, one.over)
        return [total, events, outcomes, flat]

    def violations(self) -> list[str]:
        """All violations, one line each."""
        return [
            *(f"lost: {each}" for each in self.lost),
            *(f"wrong: {each}" for each in self.wrong),
            *(f"leak: {each}" for each in self.leaks),
            *(f"defect: {each}" for each in self.seen.defects),
        ]


def _table(left: str, right: str) -> Table:
    table = Table(box=box.MARKDOWN)
    table.add_column(left)
    table.add_column(right, justify="right")
    return table


def _once(on_day: list[str]) -> list[str]:
    """Each violation once, however often it occurred."""
    return list(dict.fromkeys(on_day))
