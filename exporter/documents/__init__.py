"""How files that operators write are read: values with their positions, types, messages."""
