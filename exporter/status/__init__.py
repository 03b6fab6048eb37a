"""The state of the exporter for people and scripts: the page at `/` and `/api/v1/status`."""
