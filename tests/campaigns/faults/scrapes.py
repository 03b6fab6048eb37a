"""Parses the text of one scrape into samples and format errors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from exporter.core import play_dates
from tests.campaigns.faults.oracle import FIELDS, Numbers, RowKey

_SERIES: Final = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})?')
_LABEL: Final = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Labels = Mapping[str, str]


class Sample(NamedTuple):
    """One line."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True)
class Scrape:
    """A scrape at `at` (seconds since 1970); `plays`: the numbers of each video on each date."""

    at: float
    text: str
    samples: tuple[Sample, ...] = field(init=False)
    by_name: Mapping[str, Sequence[Sample]] = field(init=False)
    mistakes: tuple[str, ...] = field(init=False)
    plays: Mapping[RowKey, Numbers] = field(init=False)

    def __post_init__(self) -> None:
        """Read the text."""
        samples, mistakes, seen = list[Sample](), list[str](), set[str]()
        by_name: dict[str, list[Sample]] = {}
        for line in self.text.splitlines():
            if line.startswith("#"):
                continue
            read = _read(line)
            if read is None:
                mistakes.append(f"not a sample: {line[:100]!r}")
                continue
            series, sample = read
            if series in seen:
                mistakes.append(f"twice: {series}")
            seen.add(series)
            samples.append(sample)
            by_name.setdefault(sample.name, []).append(sample)
        if not self.text.endswith("\n"):
            mistakes.append("no end of line at the end")
        object.__setattr__(self, "samples", tuple(samples))
        object.__setattr__(self, "by_name", by_name)
        object.__setattr__(self, "mistakes", tuple(mistakes))
        object.__setattr__(self, "plays", self._plays())

    def of(self, name: str, **labels: str) -> dict[tuple[str, ...], float]:
        """Values of a metric by its other labels' values."""
        return {
            tuple(value for label, value in sample.labels.items() if label not in labels): sample.value
            for sample in self.by_name.get(name, ())
            if labels.items() <= sample.labels.items()
        }

    def one(self, name: str, **labels: str) -> float | None:
        """The value of the only series of a metric with those labels, if it exists."""
        found = list(self.of(name, **labels).values())
        return found[0] if found else None

    def date(self, days_ago: str) -> str:
        """The play date of a `days_ago` now, in the service's format."""
        return f"{play_dates.play_date(self.at, int(days_ago)):%Y%m%d}"

    def _plays(self) -> dict[RowKey, Numbers]:
        found: dict[RowKey, Numbers] = {}
        dates: dict[str, str] = {}
        for name in FIELDS:
            for sample in self.by_name.get(name, ()):
                ago = sample.labels["days_ago"]
                if ago not in dates:
                    dates[ago] = self.date(ago)
                found.setdefault((dates[ago], sample.labels["media_id"]), {})[name] = sample.value
        return found

    def total(self, name: str) -> float:
        """The sum over all series of a counter."""
        return math.fsum(sample.value for sample in self.by_name.get(name, ()))

    def errors(self) -> dict[tuple[str, str], float]:
        """Failed attempts by code and kind."""
        return {
            (sample.labels["code"], sample.labels["kind"]): sample.value
            for sample in self.by_name.get("aliyun_vod_api_errors_total", ())
            if sample.value
        }


# The same lines recur thousands of times.
@lru_cache(maxsize=200_000)
def _read(line: str) -> tuple[str, Sample] | None:
    """The series of a line and its sample; None if it is not a sample."""
    series, _, value = line.rpartition(" ")
    match = _SERIES.fullmatch(series)
    try:
        return (series, Sample(match[1], dict(_LABEL.findall(match[2] or "")), float(value))) if match else None
    except ValueError:
        return None
