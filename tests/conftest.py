"""What every test may need: the `tool` marker, and hypothesis that takes as long as it takes."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# A loaded machine is slow, not wrong: no property is decided by a clock.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a program that is not here and say so; with REQUIRE_TOOLS=1 let it fail instead."""
    required = os.environ.get("REQUIRE_TOOLS") == "1"
    for item in items:
        missing = [
            mark.args[0]
            for mark in item.iter_markers("tool")
            if not shutil.which(mark.args[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        ]
        if missing and not required:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)} (a Debian package)"))
        elif missing:
            item.add_marker(pytest.mark.usefixtures("missing_tool"))


@pytest.fixture(autouse=True)
def pristine_logs() -> Iterator[None]:
    """Whatever a test does to the logs of the process is undone: any test may come after it."""
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def missing_tool(request: pytest.FixtureRequest) -> None:
    tools = ", ".join(mark.args[0] for mark in request.node.iter_markers("tool"))
    pytest.fail(f"REQUIRE_TOOLS=1 and not all of these are installed: {tools}")
