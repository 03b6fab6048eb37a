"""The queries of the panels: at the end of the time range, as rows of a table, over time, and of counters."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SLOWEST_SCRAPE: Final = "1m"
"""The scrape interval of README.md and the Helm chart; rates need no shorter one."""


def now(expr: str, legend: str = "") -> prometheus.Dataquery:
    """An instant query at the end of the time range."""
    return prometheus.Dataquery().expr(expr).instant().legend_format(legend or "__auto")


def rows(expr: str) -> prometheus.Dataquery:
    """An instant query; each series is a row with its labels and value as cells."""
    return prometheus.Dataquery().expr(expr).instant().format(PromQueryFormat.TABLE)


def over_time(expr: str, legend: str) -> prometheus.Dataquery:
    """A range query."""
    return prometheus.Dataquery().expr(expr).range().legend_format(legend)


def per_second(counter: str, legend: str, *, by: str = "", more: str = "") -> prometheus.Dataquery:
    """How fast a counter (a selector) grows, added up `by` a label if one is given; `more` is what follows.

    Grafana makes $__rate_interval four times as long as the time between scrapes, which it takes for what the data
    source says, 15 s unless somebody changed it, or for the Min step of the question. Shorter than two scrapes, nothing
    has a rate.
    """
    rate = f"rate({counter}[$__rate_interval])"
    expr = f"sum by ({by}) ({rate})" if by else rate
    return over_time(f"{expr} {more}".rstrip(), legend).interval(SLOWEST_SCRAPE)


def per_bar(counter: str, legend: str, *, by: str, more: str = "") -> prometheus.Dataquery:
    """How much a counter (a selector) grew within each bar of `stacked`, added up `by` a label.

    From the end of one bar to the end of the next; from 0 if it began again, or has labels that its exporter had not
    counted before; of an exporter that is new, from the first scrape.
    `increase(...[$__interval])` knows only the scrapes of one bar, and loses what was counted between the last of them
    and the first of the next.
    """
    before = f"{counter} offset $__interval"
    new = f"0 * {counter} and on (instance, job) aliyun_vod_exporter_build_info offset $__interval"
    first = f"min_over_time({counter}[$__interval])"
    expr = f"sum by ({by}) ({counter} - ({before} or {new} or {first}) >= 0 or {counter} and {before})"
    return over_time(f"{expr} {more}".rstrip(), legend)
