"""The drop alerts on simulated accounts whose incidents are known, with the shipped rules and the real promtool."""
