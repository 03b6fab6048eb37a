"""How large a backfill will be, before it starts, and the step between samples that keeps it small."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.core.cost import Estimate, cost
from exporter.core.model import ByIds
from exporter.documents.durations import to_text
from exporter.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.core.model import Query
    from exporter.core.play_dates import Settlement

# How far Prometheus looks back for a sample; with longer steps, graphs have gaps between the samples.
LOOKBACK: Final = 300
_STEPS: Final = (LOOKBACK, 900, 3600, 6 * 3600)
# A file of 2 GB, which promtool reads in a few minutes.
_MOST_SAMPLES: Final = 10_000_000
_BYTES_PER_SAMPLE: Final = 200
_DAY: Final = 86_400
_ONE: Final = Estimate(1, 1)
_ONE_MEDIA: Final = ByIds(frozenset(["0" * 32]))


@dataclass(frozen=True, slots=True)
class BackfillEstimate:
    """What a backfill requests and writes. `seconds`: the shortest time of its calls, by the limits of the accounts.

    `series` are those of queries whose number of media is known; all others have `series_per_media` for each of theirs.
    """

    calls: Estimate
    seconds: float
    series: Estimate
    series_per_media: int
    days: int

    def line(self, step: int | None) -> str:
        """The estimate for an operator; `step` in seconds, None: it depends on how many series are found."""
        text = to_text(step or LOOKBACK)
        samples = _DAY // (step or LOOKBACK) * self.days
        total = (self.series.high or 0) * samples
        size = f"{self.series} series, up to {_size(total)} with --step={text}"
        if one := self.series_per_media * samples:
            others = f", and {self.series} series, up to {_size(total)}, of other queries" if total else ""
            each = f"{self.series_per_media} series, {_size(one)} with --step={text} for each video that has plays"
            size = f"{each}{others}"
        if step is None and total > _MOST_SAMPLES:
            size += "; the step becomes longer for so many samples"
        elif step is None and one:
            size += f"; from {(_MOST_SAMPLES - total) // one + 1:,} such media on the step becomes longer"
        calls = "1 call" if self.calls == _ONE else f"{self.calls} calls"
        time = f", {self.seconds:.0f} s or more" if self.seconds >= 1 else ""
        return f"{counted(self.days, 'day')}: {calls}{time}; {size}; --query and --days reduce it"


def estimate(
    queries: Iterable[Query], count: int, settlement: Settlement, rates: Mapping[str, float]
) -> BackfillEstimate:
    """Estimate the backfill of `count` days. `rates`: requests a second, by account."""
    calls = series = Estimate(0, 0)
    per_media = 0
    seconds = dict.fromkeys(rates, 0.0)
    for query in queries:
        one_day = cost(replace(query, days_ago=(1,), expected=False), settlement).first_poll
        of_query = Estimate(one_day.low * count, None if one_day.high is None else one_day.high * count)
        seconds[query.account] += of_query.low / rates[query.account]
        calls += of_query
        of_media = cost(query, settlement).series
        if of_media.high is None:
            per_media += cost(replace(query, media=_ONE_MEDIA), settlement).series.low
        else:
            series += of_media
    return BackfillEstimate(calls, max(seconds.values(), default=0.0), series, per_media, count)


def _size(samples: int) -> str:
    size = samples * _BYTES_PER_SAMPLE
    unit, of = next((unit, of) for unit, of in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if size >= unit or of == "kB")
    return f"{size / unit:.1f} {of}"


def step_for(samples: int) -> int:
    """The step in seconds for a file that would have `samples` samples with a step of `LOOKBACK`."""
    return next((step for step in _STEPS if samples * LOOKBACK <= _MOST_SAMPLES * step), _STEPS[-1])
