"""How large a backfill becomes, before it starts, and the step between samples that keeps it small."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from exporter.core.cost import Estimate, cost
from exporter.documents.durations import to_text

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


@dataclass(frozen=True, slots=True)
class BackfillEstimate:
    """What a backfill requests and writes. `seconds`: the shortest time of its calls, by the limits of the accounts."""

    calls: Estimate
    seconds: float
    series: Estimate
    days: int

    def line(self, step: int | None) -> str:
        """The estimate for an operator; `step` in seconds, None: it depends on how many series are found."""
        text = to_text(step or LOOKBACK)
        a_day = _DAY // (step or LOOKBACK) * _BYTES_PER_SAMPLE
        if self.series.high is None:
            size = f"{a_day / 1e3:.0f} kB for each series of each day with --step={text}, as many as there are media"
        else:
            total = self.series.high * self.days * a_day
            size = f"{self.series} series, up to {total / 1e9:.1f} GB with --step={text}"
            if step is None and total > _MOST_SAMPLES * _BYTES_PER_SAMPLE:
                size += "; the step becomes longer for so many samples"
        return (
            f"{self.days} days: {self.calls} calls, {self.seconds:.0f} s or more; {size}; --query and --days reduce it"
        )


def estimate(
    queries: Iterable[Query], count: int, settlement: Settlement, rates: Mapping[str, float]
) -> BackfillEstimate:
    """Estimate the backfill of `count` days. `rates`: requests a second, by account."""
    calls = series = Estimate(0, 0)
    seconds = dict.fromkeys(rates, 0.0)
    for query in queries:
        one_day = cost(replace(query, days_ago=(1,), expected=False), settlement).first_poll
        of_query = Estimate(one_day.low * count, None if one_day.high is None else one_day.high * count)
        seconds[query.account] += of_query.low / rates[query.account]
        calls += of_query
        series += cost(query, settlement).series
    return BackfillEstimate(calls, max(seconds.values(), default=0.0), series, count)


def step_for(samples: int) -> int:
    """The step in seconds for a file that would have `samples` samples with a step of `LOOKBACK`."""
    return next((step for step in _STEPS if samples * LOOKBACK <= _MOST_SAMPLES * step), _STEPS[-1])
