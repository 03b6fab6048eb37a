"""Where the credentials of an account come from."""
