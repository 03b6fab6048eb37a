"""The matrix of the actions beside play data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.campaigns.faults.action_cases import MOMENTS, Action
from tests.campaigns.faults.results import results_of_action

if TYPE_CHECKING:
    from tests.campaigns.faults.cases import Moment


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("moment", MOMENTS)
def test_every_invariant_holds(moment: Moment, action: Action) -> None:
    found = results_of_action(action, moment)

    assert found.cases[""]
    assert found.wrong == []
