"""The commands of the command line, one module each, and how command lines are parsed."""
