"""Headers that list what a client accepts, each element with a weight: Accept, Accept-Encoding, Accept-Language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class WeightedItem:
    """One element of such a header; `weight` is its q, 0 (not acceptable) where it is invalid."""

    value: str
    parameters: Mapping[str, str]
    weight: float


def weighted_items(header: str | None) -> Iterator[WeightedItem]:
    """The elements of a header (None: not sent), in lower case and in their order; raises nothing."""
    for element in (header or "").split(","):
        value, *parameters = element.split(";")
        named = {
            name.strip().lower(): setting.strip().strip('"')
            for name, _, setting in (parameter.partition("=") for parameter in parameters)
        }
        yield WeightedItem(value.strip().lower(), named, _weight(named.get("q", "1")))


def _weight(q: str) -> float:
    try:
        weight = float(q)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
