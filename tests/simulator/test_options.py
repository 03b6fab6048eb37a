from __future__ import annotations

from typing import Any

import pytest

from exporter.simulator.options import Conditions, SimulatorOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"latency": float("inf")}, "latency must be a number from 0, not inf"),
        ({"rate": float("nan")}, "rate must be a number from 0, not nan"),
        ({"clock_offset": float("nan")}, "clock_offset must be seconds within a year"),
        ({"wait_header": "soon"}, "wait_header must be one of x-acs-retry-after, .*, not 'soon'"),
    ],
)
def test_invalid_conditions_are_rejected_with_the_allowed_values(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conditions(**wrong)


def test_a_negative_number_of_media_is_rejected() -> None:
    with pytest.raises(ValueError, match="media must be a number from 0, not -1"):
        SimulatorOptions(media=-1)


def test_the_repr_of_options_shows_no_secret() -> None:
    assert "simulator-secret" not in repr(SimulatorOptions())
