"""The exporter's logic, in standard-library Python: no input or output, no clock."""
