"""The environment of a benchmark: the machine and the versions of the programs."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tomllib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

_SDK: Final = ("alibabacloud-vod20170321", "alibabacloud-tea-openapi")
_PROGRAMS: Final = {"nginx": "-v", "prometheus-pushgateway": "--version", "prometheus": "--version"}


def program(name: str) -> str | None:
    """The path of an installed program; Debian installs servers into root's PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def described() -> dict[str, str]:
    """The machine and versions, by name."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{cpu[1] if cpu else platform.processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{_distribution()}, kernel {platform.release()}, {platform.machine()}",
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "packages": ", ".join(f"{package} {version(package)}" for package in (*_required(), *_SDK)),
        **{name: _version(name, flag) for name, flag in _PROGRAMS.items()},
    }


def _required() -> list[str]:
    """The required dependencies of the exporter."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in project["dependencies"]]


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())


def _version(name: str, flag: str) -> str:
    found = program(name)
    if found is None:
        return "not installed"
    result = subprocess.run((found, flag), capture_output=True, text=True, check=True)
    found_version = re.search(r"\d+(\.\d+)+", result.stdout + result.stderr)
    return found_version[0] if found_version else "unknown"
