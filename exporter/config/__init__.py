"""What the operator asked for: settings, their defaults, and every mistake with its line."""
