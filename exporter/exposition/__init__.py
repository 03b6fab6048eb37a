"""How Prometheus sees what is known."""
