from __future__ import annotations

from typing import Any

import pytest

from exporter.simulator.options import Conditions, SimulatorOptions


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"latency": float("inf")}, "latency must be a number from 0, not inf"),
        ({"rate": float("nan")}, "rate must be a number from 0, not nan"),
        ({"clock_offset": float("nan")}, "clock_offset must be seconds within a year"),
        ({"wait_header": "soon"}, "wait_header must be one of x-acs-retry-after, .*, not 'soon'"),
    ],
)
def test_conditions_that_cannot_be_say_what_can(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Conditions(**wrong)


def test_an_account_cannot_have_fewer_media_than_none() -> None:
    with pytest.raises(ValueError, match="media must be a number from 0, not -1"):
        SimulatorOptions(media=-1)


def test_settings_do_not_show_secrets() -> None:
    assert "simulator-secret" not in repr(SimulatorOptions())
