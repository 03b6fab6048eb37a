"""The exporter's logic: standard library only, no input or output, no clock."""
