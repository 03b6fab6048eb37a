"""What `--version` prints: version, revision, build date, Python version and platform."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from exporter import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

# Set by the image, with the values of its labels.
REVISION: Final = "ALIYUN_VOD_EXPORTER_REVISION"
CREATED: Final = "ALIYUN_VOD_EXPORTER_CREATED"
_NO_TIME: Final = "1970-01-01T00:00:00Z"
# Go's names, which other exporters print.
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def version(environ: Mapping[str, str]) -> str:
    """In the format of exporters built with `promu`; an unknown revision is `unknown`, an unknown date has no line."""
    system = os.uname()
    created = environ.get(CREATED) or _NO_TIME
    lines = {
        "build date": "" if created == _NO_TIME else created,
        "python version": sys.version.partition(" ")[0],
        "platform": f"{system.sysname.lower()}/{_MACHINES.get(system.machine, system.machine)}",
    }
    head = f"aliyun-vod-exporter, version {__version__} (revision: {environ.get(REVISION) or 'unknown'})\n"
    return head + "".join(f"  {f'{name}:':18}{value}\n" for name, value in lines.items() if value)
