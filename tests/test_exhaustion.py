"""A process that runs out of threads, descriptors or memory says so in one line and what to raise, at any moment."""

from __future__ import annotations

import errno
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from exporter.config.loader import load
from exporter.errors import (
    MORE_MEMORY,
    MORE_THREADS,
    NO_THREAD,
    OPEN_MORE_FILES,
    ConfigError,
    StartError,
    describe_exhaustion,
)
from exporter.vod.tls_trust import tls_context
from exporter.web.access.live_config import LiveWebConfig
from tests.descriptors import no_file_can_be_opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIGURATION = """
accounts: [{name: main, endpoint: "http://127.0.0.1:9", timeout: 1s,
            credentials: {access_key_id: a, access_key_secret: hunter2-hunter2}}]
queries: [{name: q, media: {ids: [9ae2af636ca6c10412f44891fc000000]}, days_ago: 1, expected: false}]
"""
# Replaces what every thread is started with, as a container's PID limit would.
_FEW_THREADS = """
import sys, threading
name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"  # 3.13, older
start, left = getattr(threading, name), {threads}
def limited(*arguments, **named):
    global left
    left -= 1
    if left < 0:
        raise RuntimeError("can't start new thread")
    return start(*arguments, **named)
setattr(threading, name, limited)
from exporter.cli import main
sys.exit(main({argv}))
"""
COMMANDS = (
    ["fetch"],
    ["probe"],
    ["backfill", "--days=2", "--output=past.om"],
    ["simulate", "--web.listen-address=127.0.0.1:0"],
    ["serve", "--web.listen-address=127.0.0.1:0"],
    ["demo", "--web.listen-address=127.0.0.1:0"],
)


def ended(folder: Path, *argv: str) -> tuple[int, list[str]]:
    """Exit status and lines of stderr of a program; it must end by itself."""
    (folder / "config.yaml").write_text(CONFIGURATION)
    (folder / "config.yaml").chmod(0o600)
    process = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    return process.returncode, process.stderr.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: argv[0])
def test_without_threads_no_command_ends_with_a_traceback(argv: list[str], tmp_path: Path) -> None:
    status, lines = ended(tmp_path, sys.executable, "-X", "dev", "-c", _FEW_THREADS.format(threads=0, argv=argv))
    assert status == 1
    assert lines[-1] == f"aliyun-vod-exporter: {NO_THREAD}. {MORE_THREADS}"
    assert "Traceback" not in "".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: argv[0])
def test_without_descriptors_no_command_ends_with_a_traceback(argv: list[str], tmp_path: Path) -> None:
    limited = ("sh", "-c", 'ulimit -n 5; exec "$0" "$@"', sys.executable, "-m", "exporter")
    status, lines = ended(tmp_path, *limited, *argv)
    assert status == 1
    assert lines[-1] == f"aliyun-vod-exporter: Too many open files. {OPEN_MORE_FILES}"
    assert "Traceback" not in "".join(lines)
    assert "Warning" not in "".join(lines)


def _read_configuration(file: Path) -> None:
    load(file, {})


def _read_web_configuration(file: Path) -> None:
    LiveWebConfig(file)


def _read_authorities(file: Path) -> None:
    tls_context({"SSL_CERT_FILE": str(file)})


def _read_directories_of_authorities(file: Path) -> None:
    tls_context({"SSL_CERT_DIR": str(file.parent)})


@pytest.mark.parametrize(
    "read", [_read_configuration, _read_web_configuration, _read_authorities, _read_directories_of_authorities]
)
def test_a_file_that_cannot_be_read_without_descriptors_is_named_and_what_to_raise(
    read: Callable[[Path], None], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch(mode=0o600)
    with no_file_can_be_opened(), pytest.raises((ConfigError, StartError)) as caught:
        read(file)
    name = str(tmp_path) if read is _read_directories_of_authorities else str(file)
    assert name in str(caught.value)
    assert str(caught.value).endswith(f"cannot be read: Too many open files. {OPEN_MORE_FILES}")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RuntimeError("can't start new thread"), MORE_THREADS),
        (OSError(errno.EAGAIN, NO_THREAD), MORE_THREADS),
        (MemoryError(), MORE_MEMORY),
        (OSError(errno.ENOMEM, "whatever", "/some/file"), MORE_MEMORY),
        (OSError(errno.EMFILE, "whatever", "/some/file"), OPEN_MORE_FILES),
        (OSError(errno.ENFILE, "whatever"), OPEN_MORE_FILES),
        (ExceptionGroup("several", [ValueError(), ExceptionGroup("inner", [MemoryError()])]), MORE_MEMORY),
    ],
)
def test_the_sentences_say_what_to_raise(error: Exception, advice: str) -> None:
    assert describe_exhaustion(error).endswith(f". {advice}")
    assert "whatever" not in describe_exhaustion(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("something else"),
        OSError(errno.EAGAIN, "Resource temporarily unavailable"),
        OSError(errno.ENOENT, "no such file"),
        OSError("without a number"),
        ExceptionGroup("several", [ValueError()]),
        KeyboardInterrupt(),
    ],
)
def test_any_other_error_is_not_described(error: BaseException) -> None:
    assert describe_exhaustion(error) == ""
