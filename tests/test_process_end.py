"""How the process ends while a thread still runs code that the interpreter cannot stop."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import sys, threading
from exporter.signals import PROCESS
PROCESS.install(daemon=True, reloads=True)
import bcrypt
hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4))
def check():
    while True:
        bcrypt.checkpw(b"wrong", hashed)
for _ in range(4):
    threading.Thread(target=check, daemon=True).start()
print("ended", end="")
PROCESS.finish({status})
sys.exit({status})
"""


@pytest.mark.parametrize("status", [0, 1])
def test_a_daemon_that_ends_while_a_password_is_checked_has_its_exit_status(status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(status=status)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "ended", "")
