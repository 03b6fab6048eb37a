from __future__ import annotations

import pytest

from tests.simulator.clients import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
