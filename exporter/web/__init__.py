"""The front door: the HTTP endpoints."""
