"""What the exporter does, in standard-library Python: no input or output, no clock."""
