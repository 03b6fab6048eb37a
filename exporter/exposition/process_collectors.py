"""Metrics that are read when they are collected: of the process, of Python, and the log lines dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from exporter.exposition.self_metrics import SELF_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry, Metric
    from prometheus_client.registry import Collector

_LOG_LINES_DROPPED: Final = next(
    metric for metric in SELF_METRICS if metric.name == "aliyun_vod_exporter_log_lines_dropped_total"
)


def process_collectors(registry: CollectorRegistry, log_lines_dropped: Callable[[], int]) -> tuple[Collector, ...]:
    """`process_*`, `python_info`, `python_gc_*` and the log lines dropped since the start, registered."""
    return (
        _LogLinesDropped(log_lines_dropped, registry),
        ProcessCollector(registry=registry),
        PlatformCollector(registry=registry),
        GCCollector(registry=registry),
    )


class _LogLinesDropped:
    """A counter that is read when it is collected: the log writer runs in another thread and does not report."""

    def __init__(self, dropped: Callable[[], int], registry: CollectorRegistry) -> None:
        self._dropped = dropped
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(_LOG_LINES_DROPPED.name, _LOG_LINES_DROPPED.help, value=self._dropped())
