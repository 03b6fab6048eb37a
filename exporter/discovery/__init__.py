"""Media found by searches, and metadata of media, refreshed beside the polls of play data."""
