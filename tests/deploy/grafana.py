"""How Grafana interpolates a query before it is sent to Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from exporter.documents.durations import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SCRAPE_INTERVAL: Final = "15s"
"""Of a data source that does not say how often Prometheus scrapes."""


def rate_interval(target: Mapping[str, Any]) -> float:
    """The shortest `$__rate_interval` of a target, in seconds, with the default settings of the data source.

    Four times the target's Min step, else the scrape interval of the data source (Grafana's documentation of its
    Prometheus data source, "Using $__rate_interval").
    """
    return 4 * parse(target.get("interval") or DEFAULT_SCRAPE_INTERVAL)
