"""Whether the tests of `core` and `vod` notice a change of what they test: `python -m tests.campaigns.mutation`."""
