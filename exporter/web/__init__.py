"""The HTTP server: its endpoints, the limits of connections, and access control."""
