"""Settings of all tests: markers for slow ones and tools, tracebacks of hanging tasks, hypothesis without deadline."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import importlib.util
import logging
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.environment import forget_foreign_variables, forget_localhost

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

TESTS: Final = Path(__file__).resolve().parent

# A loaded machine is slow, not wrong: no property depends on real time. Every run tries the same examples, so that a
# change is tested by itself; `--hypothesis-profile=search` and `make fuzz` try others.
_ALWAYS: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", _ALWAYS)
settings.register_profile("project", _ALWAYS, derandomize=True, database=None)
settings.load_profile("project")

# Started in the background or by nohup, the tests would ignore these signals, and with them every process they start.
for _number, _default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)


forget_foreign_variables()
forget_localhost()

# First minutes of waiting with hardly any CPU, then tests that share an image: together, one worker builds it once.
FIRST: Final = ("tests/e2e/test_drop_alerts.py", "tests/deploy/test_compose_up.py", "tests/deploy/test_image.py")
# Tests that take seconds of CPU or need an idle machine, by the start of their names.
SLOW: Final = (
    "backfill/test_openmetrics.py::test_every_sample_is_there_once",
    "campaigns/bench/test_calls.py::test_the_cheap_rows",
    "campaigns/drops/test_drops.py::test_a_healthy_fortnight",
    "campaigns/drops/test_drops.py::test_an_incident_of_each_kind",
    "campaigns/faults/test_actions.py",
    "campaigns/faults/test_all.py",
    "campaigns/faults/test_environments.py::test_every_invariant",
    "campaigns/faults/test_ids.py",
    "campaigns/faults/test_top.py",
    "campaigns/fuzz/test_targets.py::test_seeds",
    "campaigns/soak/test_soak.py",
    "campaigns/stateful/test_history.py",
    "commands/test_response_fields.py::test_any_document",
    "commands/test_command_line.py::test_bash_completes",
    "commands/test_probe.py::test_broken_responses",
    "commands/test_probe.py::test_it_finds_what_is_not_documented",
    "commands/test_probe_requests.py::test_any_response",
    "config/test_loader.py::test_every_valid_configuration",
    "core/test_call_planner.py::test_with_failures_or_missing_rows",
    "core/test_cost.py::test_a_steady_day",
    "core/test_player_buckets.py::test_no_number_is_published",
    "core/test_player_buckets.py::test_what_has_stopped_growing",
    "core/test_poller.py::test_every_known_row",
    "core/test_publication_builder.py::test_an_incremental",
    "core/test_rounds.py",
    "core/test_settled_days.py::test_every_number",
    "core/test_settled_days.py::test_successive_publications",
    "core/test_ties.py::test_a_top_with_ties",
    "core/test_ties.py::test_any_ties",
    "deploy/test_alertmanager.py",
    "deploy/test_chart.py::test_a_name_that_yaml_would_take",
    "deploy/test_chart.py::test_annotations_of_the_values_win",
    "deploy/test_chart.py::test_every_document_is_what_kubernetes_knows",
    "deploy/test_chart.py::test_every_object_is_named",
    "deploy/test_chart.py::test_invalid_values_are_rejected",
    "deploy/test_chart.py::test_lint_finds_nothing",
    "deploy/test_chart.py::test_no_key_is_there_twice",
    "deploy/test_chart.py::test_the_chart_s_own_labels",
    "deploy/test_chart.py::test_the_notes_warn",
    "deploy/test_chart.py::test_the_packed_chart",
    "deploy/test_compose_up.py",
    "deploy/test_dashboards_live.py",
    "deploy/test_dashboards_promql.py",
    "deploy/test_drop_rules.py",
    "deploy/test_drops_once.py",
    "deploy/test_exporter_rules.py",
    "deploy/test_image.py",
    "deploy/test_locks.py::test_a_lock",
    "deploy/test_messages.py",
    "deploy/test_player_rules.py",
    "deploy/test_rules.py::test_the_rules_do_what_their_tests_say",
    "deploy/test_sdist.py",
    "documents/test_yaml_reader.py::test_anchors_cannot_grow",
    "e2e/",
    "exposition/test_formats.py::test_every_series_reads_back",
    "exposition/test_round_trip.py::test_values_of_the_api_are_those_that_clients_read",
    "security/test_audit.py",
    "security/test_given_files.py::test_the_daemon_warns",
    "security/test_hostile_service.py",
    "security/test_written_files.py::test_every_written_file",
    "simulator/test_dataset.py::test_numbers_only_grow",
    "simulator/test_dataset.py::test_plays_and_play_duration",
    "simulator/test_service.py::test_any_parameters",
    "storage/test_additional_field.py::test_an_older_version",
    "storage/test_codec.py::test_a_slice_round_trips_with_its_types",
    "storage/test_codec.py::test_blocks_do_not_depend_on_the_order_of_records",
    "storage/test_durability.py::test_a_flipped_bit_is_detected_or_changes_nothing",
    "storage/test_durability.py::test_a_full_disk_is_counted_logged_once_and_survived",
    "storage/test_durability.py::test_after_a_kill_the_file_has_one_whole_poll_the_last_committed_or_newer",
    "storage/test_durability.py::test_overwritten_bytes_are_detected_or_change_nothing",
    "storage/test_file.py::test_a_file_that_another_program_has_locked",
    "storage/test_file.py::test_a_file_that_replaces_the_first_is_not_opened_beside_it",
    "storage/test_file.py::test_a_file_that_was_not_closed_opens_by_the_same_name_only",
    "storage/test_file.py::test_another_process_is_refused_by_any_name_of_the_file",
    "storage/test_storage.py::test_what_was_saved",
    "test_accounts.py::test_certificate_authorities",
    "test_clock.py",
    "test_conftest.py::test_a_test_that_hangs",
    "test_faults.py::test_every_code_is_counted",
    "test_player_polls.py::test_every_undocumented_form",
    "test_player_polls.py::test_play_data_keeps",
    "test_retries.py::test_after_years",
    "vod/test_redaction.py::test_a_secret_is_hidden",
    "vod/test_responses.py::test_any_body",
    "web/test_http_connection.py::test_a_client_that_does_not_complete_its_request",
    "web/test_http_connection.py::test_a_client_that_is_idle_between",
)
# One test of the real program is among the fast ones.
NOT_SLOW: Final = ("e2e/test_process.py::test_fetch_prints_one_poll[table",)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests. Skip tests whose tool is not installed; with REQUIRE_TOOLS=1 they fail instead.

    What waits for minutes comes first: at the end, the other workers would wait for it.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
    required = os.environ.get("REQUIRE_TOOLS") == "1"
    for item in items:
        name = item.nodeid.removeprefix("tests/")
        if name.startswith(SLOW) and not name.startswith(NOT_SLOW):
            item.add_marker(pytest.mark.slow)
        missing = _missing(item)
        if missing and not required:
            item.add_marker(pytest.mark.skip(reason=f"needs {missing}"))
        elif missing:
            item.add_marker(pytest.mark.usefixtures("missing_tool"))


def _missing(item: pytest.Item) -> str:
    """The tools of a test that are not here, and where they are from."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    tools = [mark.args[0] for mark in item.iter_markers("tool")]
    packages = [mark.args[0] for mark in item.iter_markers("package")]
    return ", ".join(
        [f"{name} (a Debian package)" for name in tools if not shutil.which(name, path=path)]
        + [f"{name} (of requirements/dev.txt)" for name in packages if not importlib.util.find_spec(name)]
    )


def pytest_configure() -> None:
    """Thousands of tests are collected faster without looking for garbage among them.

    Configurations that they write are to be as private as with the umask of most users, or each would be warned about.
    """
    os.umask(0o022)
    gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()


@pytest.hookimpl(trylast=True)  # the coverage of what is imported here counts
def pytest_sessionstart(session: pytest.Session) -> None:
    """Import a part of the tests before collecting all: the others find the bytecode there, instead of each writing it.

    Rewriting the assertions of a fresh checkout takes longer than everything else before the first test.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None or [Path(each).resolve() for each in session.config.args] != [TESTS]:
        return
    number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for file in sorted(TESTS.rglob("test_*.py"))[number::count]:
        # What is wrong with it is said when it is collected.
        with contextlib.suppress(Exception):
            importlib.import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than the cores: many tests wait."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,  # noqa: ARG001 - pluggy goes by the names
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The traceback of a test that hangs in an event loop ends in the loop: add where each task waits."""
    report = yield
    if call.excinfo and "from pytest-timeout" in str(call.excinfo.value):
        tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]
        report.sections += [(f"Where the task {task.get_name()} waits", "\n".join(_awaiting(task))) for task in tasks]
    return report


def _awaiting(task: asyncio.Task[object]) -> Iterator[str]:
    """The lines of code, from the outermost coroutine to the one that waits."""
    coroutine: object = task.get_coro()
    while frame := getattr(coroutine, "cr_frame", None):
        yield f"{frame.f_code.co_filename}:{frame.f_lineno}: in {frame.f_code.co_qualname}"
        coroutine = getattr(coroutine, "cr_await", None)


@pytest.fixture(autouse=True)
def pristine_logs() -> Iterator[None]:
    """Restore the logging of the process after each test."""
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def missing_tool(request: pytest.FixtureRequest) -> None:
    pytest.fail(f"REQUIRE_TOOLS=1 and missing: {_missing(request.node)}")
