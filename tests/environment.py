"""The environment of the tests: without what is set for other programs and names that not every machine has."""

from __future__ import annotations

import os
import re
import socket
from typing import Any, Final

# For what has to reach a network, such as the build of an image.
STARTED_WITH: Final = dict(os.environ)

# Proxies and certificates, keys, colors and sizes, service managers, time zones. The tests set what they test.
_FOREIGN: Final = re.compile(
    r"(ALIBABA_CLOUD|ALIYUN|CLICOLOR|LISTEN|SSL|TTY|WATCHDOG)_?.*|.*_PROXY|(CURL|REQUESTS)_CA_BUNDLE|(FORCE|NO)_COLOR"
    r"|COLUMNS|INVOCATION_ID|JOURNAL_STREAM|LINES|NOTIFY_SOCKET|PYTHONWARNINGS|TERM|TZ",
    re.IGNORECASE,
)


def forget_foreign_variables() -> None:
    """Remove them from this process and those that it starts: with them, the tests would test the machine."""
    for name in filter(_FOREIGN.fullmatch, STARTED_WITH):
        os.environ.pop(name, None)


_look_up: Final = socket.getaddrinfo


def _without_localhost(host: Any, *arguments: Any, **options: Any) -> Any:
    if host == "localhost":
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _look_up(host, *arguments, **options)


def forget_localhost() -> None:
    """Resolve names as on a machine without /etc/hosts, such as a new chroot: tests are for every machine."""
    socket.getaddrinfo = _without_localhost
