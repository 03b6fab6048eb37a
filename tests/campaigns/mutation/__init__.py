"""Mutation tests of `core` and `vod`: `python -m tests.campaigns.mutation`."""
