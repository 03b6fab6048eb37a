"""What the command line can do: one file each, with its flags and what it runs."""
