"""The service, simulated: the numbers of a made-up account behind the real protocol."""
