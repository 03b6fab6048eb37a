from __future__ import annotations

import resource
import subprocess
import sys
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


# Prints the connections, how many are accepted at once, and the descriptors that are open already.
_LIMITS = """
import os
from exporter.web.connection_limits import limits_for_process
limits = limits_for_process({api})
print(limits.connections, limits.accepted_at_once, len(os.listdir("/dev/fd")))
"""


@pytest.mark.parametrize(("most", "api"), [(28, 4), (40, 4), (64, 4), (64, 30), (128, 4), (256, 80), (1024, 800)])
def test_a_burst_of_connections_leaves_descriptors_for_the_api(most: int, api: int) -> None:
    """See `test_listener.py` for how many are open beyond the limit: what three iterations of the loop accept."""
    program = [sys.executable, "-c", _LIMITS.format(api=api)]
    ended = subprocess.run(
        ["sh", "-c", f'ulimit -n {most}; exec "$@"', "sh", *program], check=True, capture_output=True, text=True
    )
    connections, accepted_at_once, already_open = map(int, ended.stdout.split())

    assert connections >= 2
    accepted = 3 * (accepted_at_once + (sys.version_info >= (3, 14)))
    assert connections + accepted + already_open + 4 + api <= most


def test_accounts_that_could_use_all_descriptors_leave_some_for_clients() -> None:
    program = ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh", sys.executable, "-c", _LIMITS.format(api=10_000)]
    ended = subprocess.run(program, check=True, capture_output=True, text=True)

    # On Python 3.14 the loop accepts one connection more in each iteration.
    assert int(ended.stdout.split()[0]) > (9 if sys.version_info >= (3, 14) else 10)
