"""Prometheus exporter for the playback statistics of Alibaba Cloud ApsaraVideo VOD."""

__version__ = "0.1.0"
