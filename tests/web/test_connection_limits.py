from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from exporter.web.connection_limits import ConnectionLimits, limits_for_process

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def descriptors() -> Iterator[int]:
    """The hard limit; the soft limit is restored after the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_descriptor_limit_is_raised_to_what_connections_need(descriptors: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, descriptors))

    limits = limits_for_process()

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft >= 2 * limits.connections
    assert limits.connections == min(ConnectionLimits().connections, descriptors // 2)
    assert limits.accepted_at_once == min(16, limits.connections // 4)
