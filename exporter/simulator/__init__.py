"""A simulated VOD service: generated play data of one account behind the real protocol."""
