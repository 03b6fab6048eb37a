"""Reads the locks in `requirements/`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "requirements"
LINE: Final = re.compile(
    r"^(?P<name>[\w.-]+)(?P<extras>\[[\w,.-]+\])?==(?P<version>[\w.+!-]+)(?P<marker> ;[^\\]*)?", re.MULTILINE
)


def locked(lock: str) -> dict[str, str]:
    """The version of each package in `requirements/LOCK.txt`."""
    return {line["name"]: line["version"] for line in LINE.finditer((FOLDER / f"{lock}.txt").read_text())}
