"""The files of deploy/, checked by the tools that read them."""
