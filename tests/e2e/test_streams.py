"""Standard streams that cannot be written, or that another process has made non-blocking."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FULL_DISK: Final = "/dev/full"
CONFIGURATION: Final = """
accounts:
  - {name: main, endpoint: http://127.0.0.1:1, credentials: {access_key_id: LTAI0, access_key_secret: not-a-secret}}
queries: [{name: q, every: 15m, media: all}]
"""


def run(*words: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exporter", *words], check=False, text=True, stdout=stdout, stderr=stderr
    )


def full_disk() -> int:
    return os.open(FULL_DISK, os.O_WRONLY)


def for_reading_only() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def unread_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("--help-man",), ("check-config", "--schema")])
@pytest.mark.parametrize(
    ("opened", "reason"), [(full_disk, "No space left on device"), (for_reading_only, "Bad file descriptor")]
)
def test_output_that_cannot_be_written_is_one_line(
    words: tuple[str, ...], opened: Callable[[], int], reason: str
) -> None:
    ended = run(*words, stdout=opened())
    assert (ended.stderr, ended.returncode) == (f"aliyun-vod-exporter: cannot write standard output: {reason}\n", 1)


@pytest.mark.parametrize("words", [("--version",), ("check-config", "--schema")])
def test_a_reader_that_has_enough_ends_the_command_without_a_word(words: tuple[str, ...]) -> None:
    ended = run(*words, stdout=unread_pipe())
    assert (ended.stderr, ended.returncode) == ("", 1)


@pytest.mark.parametrize("opened", [full_disk, for_reading_only, unread_pipe])
def test_messages_that_cannot_be_written_change_neither_output_nor_status(
    opened: Callable[[], int], tmp_path: Path
) -> None:
    assert run("--no-such-flag", stderr=opened()).returncode == 2
    file = tmp_path / "config.yaml"
    file.write_text(CONFIGURATION)
    file.chmod(0o644)  # causes a warning
    checked = run("check-config", f"--config.file={file}", stderr=opened())
    assert checked.returncode == 0
    assert f"{file}: valid" in checked.stdout


def test_all_of_the_output_goes_to_a_non_blocking_pipe() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    parts: list[bytes] = []

    def read() -> None:
        while part := os.read(reading, 1024):
            parts.append(part)

    reader = threading.Thread(target=read)
    with subprocess.Popen([sys.executable, "-m", "exporter", "--help-man"], stdout=writing) as command:
        os.close(writing)
        reader.start()
        assert command.wait() == 0
    reader.join()
    os.close(reading)
    assert b"".join(parts).decode() == run("--help-man").stdout
