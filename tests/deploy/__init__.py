"""What is shipped beside the program, checked by the tools that will read it."""
