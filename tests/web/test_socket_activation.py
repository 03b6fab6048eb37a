from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest

from exporter.errors import StartError
from exporter.web import socket_activation as module
from exporter.web.socket_activation import inherited

MINE = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}


def passed_on(opened: socket.socket, monkeypatch: pytest.MonkeyPatch) -> int:
    """A descriptor of the same socket, which the code under test may close."""
    number = os.dup(opened.fileno())
    os.set_inheritable(number, True)  # noqa: FBT003 - it takes no keyword
    monkeypatch.setattr(module, "FIRST_DESCRIPTOR", number)
    return number


def test_a_passed_socket_is_used_and_remains_open_in_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as systemds:
        number = passed_on(systemds, monkeypatch)
        with inherited(MINE) as (ours,):
            assert ours.getsockname() == systemds.getsockname()
            assert not os.get_inheritable(number)
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
        socket.create_connection(systemds.getsockname()).close()


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "systemd has passed no sockets"),
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, "the sockets are for process 1, and this is "),
        ({"LISTEN_FDS": "1"}, "LISTEN_PID and LISTEN_FDS do not have the form that systemd gives them"),
        ({**MINE, "LISTEN_FDS": "x"}, "LISTEN_PID and LISTEN_FDS do not have the form that systemd gives them"),
        ({**MINE, "LISTEN_FDS": "1" * 5_000}, "LISTEN_PID and LISTEN_FDS do not have the form that systemd gives them"),
        ({**MINE, "LISTEN_PID": "1" * 5_000}, "LISTEN_PID and LISTEN_FDS do not have the form that systemd gives them"),
        ({**MINE, "LISTEN_FDS": "0"}, "LISTEN_PID and LISTEN_FDS do not have the form that systemd gives them"),
    ],
)
def test_variables_that_systemd_would_not_set_are_rejected(environ: dict[str, str], message: str) -> None:
    with pytest.raises(StartError) as caught:
        inherited(environ).__enter__()
    assert str(caught.value).startswith(f"--web.systemd-socket: {message}")
    assert str(caught.value).endswith("or leave --web.systemd-socket out.")


@pytest.mark.parametrize("what", ["file", "unix", "udp", "not listening"])
def test_a_descriptor_that_does_not_listen_is_rejected(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "file":
        monkeypatch.setattr(module, "FIRST_DESCRIPTOR", os.open("/dev/null", os.O_RDONLY))
        with pytest.raises(StartError, match="is not a socket"):
            inherited(MINE).__enter__()
        os.close(module.FIRST_DESCRIPTOR)
        return
    family = socket.AF_UNIX if what == "unix" else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM if what == "udp" else socket.SOCK_STREAM)) as systemds:
        number = passed_on(systemds, monkeypatch)
        with pytest.raises(StartError, match="does not listen for TCP connections: write ListenStream="):
            inherited(MINE).__enter__()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
