"""The environment variables of the tests, without those that are set for other programs."""

from __future__ import annotations

import os
import re
from typing import Final

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
