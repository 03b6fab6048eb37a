"""Use listening sockets that systemd has opened and passed to this process (protocol: sd_listen_fds(3))."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from typing import TYPE_CHECKING, Final

from exporter.errors import StartError
from exporter.web.server import prepared

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

FIRST_DESCRIPTOR: Final = 3
_NUMBER: Final = re.compile("[0-9]{1,10}")
_ADVICE: Final = (
    "Start it by a .socket unit (systemctl start aliyun-vod-exporter.socket), or leave --web.systemd-socket out."
)


@contextlib.contextmanager
def inherited(environ: Mapping[str, str]) -> Generator[list[socket.socket]]:
    """Yield the sockets that systemd passed to this process and close them at the end; systemd keeps its own copies.

    Raises StartError if there are none, or if one of them is not a listening TCP socket.
    """
    with contextlib.ExitStack() as opened:
        yield prepared([opened.enter_context(_socket(number)) for number in _descriptors(environ)])


def _descriptors(environ: Mapping[str, str]) -> range:
    pid, count = (environ.get(name, "") for name in ("LISTEN_PID", "LISTEN_FDS"))
    if not count:
        raise _refused("systemd has passed no sockets (LISTEN_FDS is not set)")
    if not (_NUMBER.fullmatch(pid) and _NUMBER.fullmatch(count) and int(count)):
        raise _refused("LISTEN_PID and LISTEN_FDS do not have the form that systemd gives them")
    if int(pid) != os.getpid():
        raise _refused(
            f"the sockets are for process {int(pid)}, and this is {os.getpid()}: start the exporter without a shell or"
            " wrapper between it and systemd, or with exec in it"
        )
    return range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count))


def _socket(number: int) -> socket.socket:
    try:
        found = socket.socket(fileno=number)
    except OSError:
        raise _refused(f"descriptor {number} is not a socket") from None
    if not _listens_for_tcp(found):
        found.close()
        raise _refused(
            f"socket {number} does not listen for TCP connections: write ListenStream= with a port or an address"
            " in the .socket unit, and leave Accept= out"
        )
    found.set_inheritable(False)
    return found


def _listens_for_tcp(found: socket.socket) -> bool:
    is_tcp = found.family in {socket.AF_INET, socket.AF_INET6} and found.type == socket.SOCK_STREAM
    return is_tcp and bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _refused(reason: str) -> StartError:
    return StartError(f"--web.systemd-socket: {reason}. {_ADVICE}")
