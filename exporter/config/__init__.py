"""The configuration: settings, their defaults, and every error with its line."""
