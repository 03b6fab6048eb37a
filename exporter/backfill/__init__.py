"""Past days as OpenMetrics with timestamps, for promtool."""
