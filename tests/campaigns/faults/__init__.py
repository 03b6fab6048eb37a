"""The fault matrix: every way the service can fail, at every moment, for every selection of media."""
