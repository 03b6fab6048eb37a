"""Everything known at one instant, immutable: published by rebinding one reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from exporter.core.model import Slice, SliceData


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known, by slice."""

    slices: Mapping[Slice, SliceData] = field(default_factory=lambda: MappingProxyType({}))

    def with_(self, changed: Iterable[SliceData]) -> Snapshot:
        """This snapshot with some slices replaced; all of them at once."""
        return Snapshot(MappingProxyType({**self.slices, **{data.slice: data for data in changed}}))

    def since(self, oldest: date) -> Snapshot:
        """This snapshot without the days before `oldest`, which nobody can ask for any more."""
        return Snapshot(MappingProxyType({s: data for s, data in self.slices.items() if s.play_date >= oldest}))
