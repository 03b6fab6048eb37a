"""The matrix for all media."""

from __future__ import annotations

import pytest

from tests.campaigns.faults.cases import Moment, Selection
from tests.campaigns.faults.fault import Family
from tests.campaigns.faults.results import results_of


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("moment", Moment)
def test_every_invariant_holds(moment: Moment, family: Family) -> None:
    found = results_of(family, moment, Selection.ALL)

    assert found.cases[""]
    assert found.wrong == []
