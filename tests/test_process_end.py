"""How the process ends while a thread cannot be stopped, and by signals that it inherited ignored or blocked."""

from __future__ import annotations

import signal
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
_INHERIT = {
    "nothing": "",
    "SIGINT ignored": "signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "all blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})",
}
# A one-shot command that is interrupted in an event loop or outside, and cleans up for a while. Outside it waits in
# short pieces: of a signal that comes immediately before a system call, Python learns only after the call. So it is of
# a signal that the system gives to another thread, which can be made to happen: a loop has to wake up for it.
_COMMAND = """
import signal
INHERITED
from exporter.signals import PROCESS
PROCESS.install(daemon=False, reloads=False)
import asyncio, os, sys, threading, time
from exporter.commands.loop_signals import run_interruptible
PROCESS.interrupt()

async def in_a_loop():
    if sys.argv[1] == "loop, unnoticed":
        threading.Thread(target=time.sleep, args=[60], daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        print("waiting", flush=True)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.2)
        print("cleaned up", flush=True)

def outside():
    try:
        print("waiting", flush=True)
        while True:
            time.sleep(0.05)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)
        print("cleaned up", flush=True)

try:
    outside() if sys.argv[1] == "outside" else run_interruptible(in_a_loop())
except KeyboardInterrupt:
    sys.exit(PROCESS.interrupted())
"""


@pytest.mark.parametrize("status", [0, 1])
def test_a_daemon_that_ends_while_a_password_is_checked_has_its_exit_status(status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(status=status)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "ended", "")


@pytest.mark.parametrize("where", ["loop", "loop, unnoticed", "outside"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("inherited", _INHERIT)
def test_a_one_shot_command_cleans_up_whatever_it_inherited(inherited: str, number: signal.Signals, where: str) -> None:
    ignored = number is signal.SIGINT and inherited == "SIGINT ignored"
    with subprocess.Popen(
        [sys.executable, "-c", _COMMAND.replace("INHERITED", _INHERIT[inherited]), where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        if ignored:
            process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    assert (output, errors) == ("cleaned up\n", "")
    assert process.returncode == 128 + (signal.SIGTERM if ignored else number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_was_started_with_signals_blocked_receives_them(number: int) -> None:
    program = (
        f"import signal; {_INHERIT['all blocked']}; from exporter.signals import PROCESS;"
        " PROCESS.install(daemon=True, reloads=True); import time; print('up', flush=True)\n"
        "while True: time.sleep(0.05)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.wait(60) == 0
