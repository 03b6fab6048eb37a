"""The data as Prometheus scrapes it: metrics, rendering, formats and compression."""
