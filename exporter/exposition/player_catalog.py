"""The table of the player metrics, and the collector that reads them; experimental."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporter.core.player_fields import PLAYER_FIELDS
from exporter.core.player_query import ago_label
from exporter.exposition.catalog import Metric, MetricType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import prometheus_client
    from prometheus_client import CollectorRegistry

    from exporter.core.player_query import PlayerView

PREFIX: Final = "aliyun_vod_player_"
_TARGET: Final = ("account", "app_id", "terminal_type", "os")

FIELD_METRICS: Final = {
    field.name: Metric(
        f"{PREFIX}{field.name}",
        MetricType.GAUGE,
        f"{field.meaning}, in the newest confirmed bucket or the same one earlier ({field.wire_name}; experimental).",
        (*_TARGET, "ago"),
    )
    for field in PLAYER_FIELDS
}
BUCKET: Final = Metric(
    f"{PREFIX}bucket_timestamp_seconds",
    MetricType.GAUGE,
    "Start of the newest confirmed bucket, in seconds since 1970 (experimental).",
    _TARGET,
)
LAG: Final = Metric(
    f"{PREFIX}data_lag_seconds",
    MetricType.GAUGE,
    "Time since the end of the newest bucket for which the service has data, in seconds (experimental).",
    _TARGET,
)
REVISIONS: Final = Metric(
    f"{PREFIX}bucket_revisions_total",
    MetricType.COUNTER,
    "Number of buckets that changed after they were confirmed (experimental).",
    _TARGET,
)
UP: Final = Metric(
    f"{PREFIX}up",
    MetricType.GAUGE,
    "Whether the last poll of the target got all responses: 1 or 0 (experimental).",
    _TARGET,
)
PLAYER_METRICS: Final[tuple[Metric, ...]] = (*FIELD_METRICS.values(), BUCKET, LAG, REVISIONS, UP)


class PlayerCollector:
    """The player metrics, computed when they are collected: the lag grows while nothing is polled."""

    def __init__(self, views: Callable[[], Sequence[PlayerView]], registry: CollectorRegistry) -> None:
        self._views = views
        registry.register(self)

    def collect(self) -> Iterator[prometheus_client.Metric]:
        """The families that have samples; none without targets."""
        families = {metric.name: _family(metric) for metric in PLAYER_METRICS}

        def add(metric: Metric, labels: Sequence[str], value: float | None) -> None:
            if value is not None:
                families[metric.name].add_metric(labels, value)

        for view in sorted(self._views(), key=lambda view: view.target):
            target = view.target
            labels = [target.account, target.app_id, target.terminal_type, target.os or "all"]
            if view.published is not None:
                for ago, values in view.published.values.items():
                    for name, value in values.items():
                        add(FIELD_METRICS[name], [*labels, ago_label(ago)], value)
                add(BUCKET, labels, view.published.start)
            add(LAG, labels, view.lag)
            add(REVISIONS, labels, view.revisions)
            add(UP, labels, int(view.up))
        return (family for family in families.values() if family.samples)


def _family(metric: Metric) -> GaugeMetricFamily | CounterMetricFamily:
    make = CounterMetricFamily if metric.type is MetricType.COUNTER else GaugeMetricFamily
    return make(metric.name, metric.help, labels=metric.labels)
