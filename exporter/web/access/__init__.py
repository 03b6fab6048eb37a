"""exporter-toolkit's web configuration: TLS, passwords, headers, rate limit."""
