"""What every test may need: the markers `slow` and `tool`, where a hanging one waits, hypothesis without a deadline."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
from typing import TYPE_CHECKING, Final

import pytest
import structlog
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# A loaded machine is slow, not wrong: no property is decided by a clock.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


# Seconds of the processor each, or a machine to itself; by how their names begin.
SLOW: Final = (
    "core/test_rounds.py",
    "deploy/test_alertmanager.py",
    "deploy/test_dashboards_live.py",
    "deploy/test_image.py",
    "deploy/test_locks.py::test_a_lock",
    "e2e/",
    "faults/test_all.py",
    "faults/test_ids.py",
    "faults/test_top.py",
    "security/test_audit.py",
    "security/test_hostile_service.py",
    "soak/test_soak.py",
    "stateful/test_history.py",
    "storage/test_durability.py::test_after_a_kill_it_holds_one_whole_poll_the_last_committed_or_newer",
    "test_clock.py",
)
# But one test of the real program is among those that say that it works here.
NOT_SLOW: Final = ("e2e/test_process.py::test_fetch_prints_one_poll",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow. Skip what needs a program that is not here; with REQUIRE_TOOLS=1 let it fail instead."""
    required = os.environ.get("REQUIRE_TOOLS") == "1"
    for item in items:
        name = item.nodeid.removeprefix("tests/")
        if name.startswith(SLOW) and not name.startswith(NOT_SLOW):
            item.add_marker(pytest.mark.slow)
        missing = [
            mark.args[0]
            for mark in item.iter_markers("tool")
            if not shutil.which(mark.args[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        ]
        if missing and not required:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)} (a Debian package)"))
        elif missing:
            item.add_marker(pytest.mark.usefixtures("missing_tool"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,  # noqa: ARG001 - pluggy goes by the names
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of a test that hangs in an event loop, the traceback ends in the loop: add where each task waits."""
    report = yield
    if call.excinfo and "from pytest-timeout" in str(call.excinfo.value):
        tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]
        report.sections += [(f"Where the task {task.get_name()} waits", "\n".join(_awaiting(task))) for task in tasks]
    return report


def _awaiting(task: asyncio.Task[object]) -> Iterator[str]:
    """The places in the code, from the outermost coroutine to what it waits for."""
    coroutine: object = task.get_coro()
    while frame := getattr(coroutine, "cr_frame", None):
        yield f"{frame.f_code.co_filename}:{frame.f_lineno}: in {frame.f_code.co_qualname}"
        coroutine = getattr(coroutine, "cr_await", None)


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
