"""Signals from the first import to the end of the interpreter, at points where the process is made to wait."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.processes import PATIENCE, exporter, free_port, get, until

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT: Final = Path(__file__).parents[2]
SCRIPT: Final = Path(sys.executable).with_name("aliyun-vod-exporter")
CONFIGURATION: Final = """
accounts:
  - name: main
    endpoint: http://127.0.0.1:9
    credentials: {access_key_id: simulator, access_key_secret: simulator-secret}
queries: [{name: q, media: all}]
"""
# Imported by Python before our code. It waits at WAIT_AT: the import of a module, a thread that delays the exit, or
# after all exit handlers.
WAITS: Final = """
import os, sys

where, folder = os.environ["WAIT_AT"], os.environ["WAIT_IN"]

def wait():
    open(f"{folder}/waiting", "w").close()
    with open(f"{folder}/go") as go:
        go.read()

class Imports:
    def find_spec(self, name, path=None, target=None):
        if name == where:
            sys.meta_path.remove(self)
            wait()

if where == "exit":
    import atexit
    atexit.register(wait)
elif where == "threads":
    import threading

    def beside():
        threading.main_thread().join()
        wait()

    threading.Thread(target=beside).start()
else:
    sys.meta_path.insert(0, Imports())
"""
SERVE: Final = ("serve", "--web.listen-address=127.0.0.1:0")
# From the first import after the handlers are installed to the last before the work starts.
IMPORTS: Final = ("exporter.stdio", "exporter.cli", "structlog", "exporter.config.loader", "exporter.app")


@dataclass
class Waiting:
    """A process that waits at a point."""

    process: subprocess.Popen[str]
    folder: Path

    def reached(self) -> None:
        until(lambda: (self.folder / "waiting").exists() or self.process.poll() is not None, "the place to wait at")
        assert self.process.poll() is None, self.process.communicate()

    def go(self) -> None:
        (self.folder / "go").write_text("")

    def ended(self) -> tuple[int, str]:
        """Its exit status and its stderr."""
        _, log_text = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, log_text


@contextmanager
def waiting(folder: Path, where: str, *argv: str, program: tuple[str, ...] = ()) -> Generator[Waiting]:
    """Run one of our commands with a waiting point."""
    (folder / "config.yaml").write_text(CONFIGURATION)
    (folder / "sitecustomize.py").write_text(WAITS)
    os.mkfifo(folder / "go")
    with subprocess.Popen(
        [*(program or (sys.executable, "-m", "exporter")), *argv],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "WAIT_AT": where, "WAIT_IN": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Waiting(process, folder)
        finally:
            process.kill()


@pytest.mark.parametrize("where", IMPORTS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_daemon_ends_quietly_whatever_it_imports(tmp_path: Path, where: str, number: int) -> None:
    with waiting(tmp_path, where, *SERVE) as process:
        process.reached()
        process.process.send_signal(number)
        assert process.ended() == (0, "")


@pytest.mark.parametrize("where", IMPORTS)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_runs_once_ends_with_the_status_of_the_signal(
    tmp_path: Path, where: str, number: int, status: int
) -> None:
    with waiting(tmp_path, where, "fetch") as process:
        process.reached()
        process.process.send_signal(number)
        assert process.ended() == (status, "")


@pytest.mark.skipif(not SCRIPT.exists(), reason="not installed as a script")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_console_script_behaves_the_same(tmp_path: Path, number: int) -> None:
    with waiting(tmp_path, "exporter.cli", *SERVE, program=(str(SCRIPT),)) as process:
        process.reached()
        process.process.send_signal(number)
        assert process.ended() == (0, "")


@pytest.mark.tool("unshare")
@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs unshare and root")
def test_the_first_process_of_a_container_ends_too(tmp_path: Path) -> None:
    with waiting(
        tmp_path, "exporter.app", *SERVE, program=("unshare", "--pid", "--fork", sys.executable, "-m", "exporter")
    ) as process:
        process.reached()
        # As PID 1 it has no default actions: unhandled signals are ignored.
        (child,) = map(
            int, Path(f"/proc/{process.process.pid}/task/{process.process.pid}/children").read_text().split()
        )
        os.kill(child, signal.SIGTERM)
        assert process.ended() == (0, "")


@pytest.mark.parametrize("where", IMPORTS)
def test_sighup_is_deferred_until_a_reload_is_possible(tmp_path: Path, where: str) -> None:
    with waiting(tmp_path, where, *SERVE) as process:
        process.reached()
        process.process.send_signal(signal.SIGHUP)
        process.go()
        assert process.process.stderr
        assert any("configuration reloaded" in line for line in process.process.stderr)
        process.process.send_signal(signal.SIGTERM)
        assert process.ended()[0] == 0


@pytest.mark.parametrize(("argv", "status"), [(["check-config"], 0), (["fetch"], 1), (["nonsense"], 2), (["help"], 0)])
def test_at_the_end_of_the_interpreter_signals_change_nothing(tmp_path: Path, argv: list[str], status: int) -> None:
    with waiting(tmp_path, "exit", *argv) as process:
        process.reached()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process.process.send_signal(number)
        process.go()
        ended, log_text = process.ended()
        assert ended == status
        assert "Traceback" not in log_text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_waits_for_no_thread_once_a_signal_says_so(tmp_path: Path, number: int) -> None:
    with waiting(tmp_path, "threads", "check-config") as process:
        process.reached()
        process.process.send_signal(number)
        assert process.ended()[0] == 0


def test_the_daemon_that_was_stopped_twice_ends_with_status_0(tmp_path: Path) -> None:
    with waiting(tmp_path, "exit", *SERVE) as process:
        assert process.process.stderr
        assert any("msg=listening" in line for line in process.process.stderr)
        process.process.send_signal(signal.SIGTERM)
        process.reached()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            process.process.send_signal(number)
        process.go()
        assert process.ended()[0] == 0


@pytest.mark.parametrize("closed", ["2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
def test_it_starts_without_standard_streams(tmp_path: Path, closed: str) -> None:
    (tmp_path / "config.yaml").write_text(CONFIGURATION)
    received_text = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m exporter check-config --storage.path=none.db {closed}"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
    )
    assert (received_text.returncode, received_text.stderr) == (0, b"")


def test_a_daemon_whose_stderr_is_closed_serves_and_keeps_its_files_whole(tmp_path: Path) -> None:
    with exporter(tmp_path, "simulate", "--web.listen-address=127.0.0.1:0") as simulator:
        (tmp_path / "config.yaml").write_text(CONFIGURATION.replace("http://127.0.0.1:9", simulator.url()))
        port = free_port()
        flags = f"--web.listen-address=127.0.0.1:{port} --storage.path=state.db"
        command = f"exec {sys.executable} -m exporter serve {flags} 2>&-"
        with subprocess.Popen(["sh", "-c", command], cwd=tmp_path) as daemon:
            url = f"http://127.0.0.1:{port}"
            until(lambda: get(f"{url}/-/ready").is_success, "the first poll")
            assert "aliyun_vod_exporter_log_lines_dropped_total 0.0" in get(f"{url}/metrics").text
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(PATIENCE) == 0
        assert (tmp_path / "state.db").read_bytes().startswith(b"SQLite format 3\0")
