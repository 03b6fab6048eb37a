"""An exporter as written with prometheus-client: gauges behind its own server, with the series of a text file.

`python -m tests.campaigns.bench.gauges FILE PORT`; it writes `urls=...` to stderr once it serves.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, start_http_server
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric


def registry(families: Iterable[Metric]) -> CollectorRegistry:
    """A gauge of the library for each series of some families."""
    gauges = CollectorRegistry()
    for family in families:
        gauge = Gauge(family.name, family.documentation, tuple(family.samples[0].labels), registry=gauges)
        for sample in family.samples:
            gauge.labels(**sample.labels).set(sample.value)
    return gauges


if __name__ == "__main__":
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    start_http_server(int(sys.argv[2]), "127.0.0.1", registry=registry(text_string_to_metric_families(text)))
    sys.stderr.write(f"urls=http://127.0.0.1:{sys.argv[2]}\n")
    sys.stderr.flush()
    threading.Event().wait()
