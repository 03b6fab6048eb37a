"""What survives a restart: slices and calls spent, in one SQLite file."""
