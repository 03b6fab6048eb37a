from __future__ import annotations

import pytest

from tests.simulator.asking import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
