"""The cost of starting and of an idle daemon: CPU of a command line, memory at rest."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.campaigns.bench import peers
from tests.campaigns.bench.rows import Goal, Row, Section, row
from tests.campaigns.bench.sizing import memory_mib
from tests.e2e.processes import get, running

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from tests.e2e.processes import Running

ROUNDS: Final = 5
_EXPORTER: Final = (sys.executable, "-m", "exporter")
_QUESTION: Final = Goal(0.15)
_COMMANDS: Final = {
    "--version": _QUESTION,
    "--help": _QUESTION,
    "check-healthy --url=http://127.0.0.1:1": _QUESTION,
    "check-config --config.file=config.example.yaml": Goal(0.4),
}
_INTERPRETER: Final = (sys.executable, "-c", "pass")
_BARE: Final = """\
import sys, threading
from prometheus_client import start_http_server
server, _ = start_http_server(0, addr="127.0.0.1")
print(f"urls=http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
threading.Event().wait()
"""


def sections() -> Sequence[Section]:
    """Measure both."""
    with _as_installed():
        return [_start(), _rest()]


@contextlib.contextmanager
def _as_installed() -> Generator[None]:
    """Programs started here run as installed by pip and in the image.

    With bytecode: compiling takes time and 6 MiB.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        # An empty value counts as unset.
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before


def _start() -> Section:
    # The first time bytecode is written.
    commands = {"python -c pass": _INTERPRETER, **{line: (*_EXPORTER, *line.split()) for line in _COMMANDS}}
    rounds = [{name: _cpu_seconds(argv) for name, argv in commands.items()} for _ in range(ROUNDS + 1)][1:]
    return Section(
        "CPU until a command line is answered",
        "User and system time of the whole process, the interpreter's start included, with bytecode,"
        f" {ROUNDS} times in turns.",
        tuple(row(name, "s", [each[name] for each in rounds], goal=_COMMANDS.get(name)) for name in commands),
    )


def _rest() -> Section:
    bare, ours = [], []
    for _ in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as folder, peers.simulator(Path(folder)) as endpoint:
            with _bare(Path(folder)) as process:
                bare.append(memory_mib(process, "VmRSS"))
            with peers.ours(Path(folder), endpoint, "every: 1h") as (server, process):
                get(server.url).raise_for_status()
                ours.append(memory_mib(process, "VmRSS"))
    bare, ours = bare[1:], ours[1:]
    peer = row("prometheus-client, start_http_server", "MiB", bare)
    return Section(
        "Memory at rest",
        "Resident memory of the process after its first scrape, with bytecode: a program that does nothing but import"
        " prometheus-client and call start_http_server, and the daemon with one query (120 media,"
        " four days) after its first poll.",
        (peer, *_daemon(ours, peer)),
    )


def _daemon(mebibytes: list[float], peer: Row) -> tuple[Row, Row]:
    """Rows with the bound and with the peer."""
    return (
        row("ours, one query", "MiB", mebibytes, goal=Goal(50)),
        row("ours, as a multiple", "MiB", mebibytes, against=peer),
    )


@contextlib.contextmanager
def _bare(folder: Path) -> Generator[Running]:
    with running(folder, "bare", sys.executable, "-c", _BARE) as process:
        get(f"{process.url()}/metrics").raise_for_status()
        yield process


def _cpu_seconds(argv: Sequence[str]) -> float:
    """The CPU seconds of a process until its end, with any status."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=peers.ROOT, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
