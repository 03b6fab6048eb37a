"""Histories that hypothesis makes up; as many as one likes with `python -m tests.campaigns.stateful`."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.campaigns.stateful.history import History


def test_whatever_happens_what_is_shown_is_what_was_said() -> None:
    run_state_machine_as_test(History, settings=settings(max_examples=60, stateful_step_count=25))
