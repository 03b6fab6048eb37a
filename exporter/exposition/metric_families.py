"""The families of the exporter's own metrics: each is encoded again only after one of its series has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from exporter.exposition.encoded_collectors import EncodedCollectors, without_created
from exporter.exposition.self_metrics import SELF_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry, Metric
    from prometheus_client.metrics import MetricWrapperBase
    from prometheus_client.registry import Collector

    from exporter.exposition.gzip_segments import DeflateSegment

    Wrapper = TypeVar("Wrapper", bound=MetricWrapperBase)

_ROWS: Final = {row.name: row for row in SELF_METRICS}


class MetricFamilies:
    """Families of the client library, whose series are changed and removed only here.

    * `registry`: where they are registered.
    * `monotonic`: a clock in seconds; what is `sampled` is collected at most once a second.
    """

    def __init__(self, registry: CollectorRegistry, monotonic: Callable[[], float]) -> None:
        self._registry = registry
        self._labels: dict[MetricWrapperBase, frozenset[str]] = {}
        self._optional: set[MetricWrapperBase] = set()
        self._sampled: list[Collector] = []
        self._encoded = EncodedCollectors(self._labels, self._sampled, monotonic=monotonic, optional=self._optional)

    def add(self, make: Callable[..., Wrapper], name: str, *, optional: bool = False) -> Wrapper:
        """Make and register a family of `SELF_METRICS`; an optional one is left out while it has no series."""
        row = _ROWS[name]
        family = make(row.name, row.help, row.labels, registry=self._registry)
        self._labels[family] = frozenset(row.labels)
        if optional:
            self._optional.add(family)
        return family

    def add_sampled(self, *collectors: Collector) -> None:
        """Expose these collectors, too, whose values may change at any time."""
        self._sampled += collectors

    def series(self, family: Wrapper, *labels: str) -> Wrapper:
        """The series of a family with these label values (without any, its only one), to be changed by the caller."""
        self._encoded.invalidate(family)
        return family.labels(*labels) if labels else family

    def remove(self, family: MetricWrapperBase, **labels: str) -> None:
        """Remove the series of a family with these label values."""
        family.remove_by_labels(labels)
        self._encoded.invalidate(family)

    def remove_everywhere(self, **labels: str) -> None:
        """Remove the series with these label values from every family that has all these labels."""
        for family, names in self._labels.items():
            if labels.keys() <= names:
                self.remove(family, **labels)

    def collect(self) -> Iterator[Metric]:
        """All metrics of the registry, without `_created` samples."""
        return without_created(self._registry.collect())

    def expose(self, content_type: str, encode: Callable[[Collector], bytes]) -> DeflateSegment:
        """All families and what is sampled, encoded for a content type by an encoder of the client library.

        Own counters are exact; what is sampled is at most one second old.
        """
        return self._encoded.encode(content_type, encode)
