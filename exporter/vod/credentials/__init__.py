"""Where the keys of an account come from."""
