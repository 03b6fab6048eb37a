"""The Makefile where it is run first: on a machine that lacks something."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.deploy.release import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# As `python3 -m venv` of Debian without the package python3-venv: it leaves everything but pip.
WITHOUT_ENSUREPIP = """#!/bin/sh
[ "$1" = -c ] && exit
mkdir -p "$3/bin" && touch "$3/bin/python"
echo "ensurepip is not available" >&2
exit 1
"""


@pytest.mark.tool("make")
def test_a_virtual_environment_without_pip_is_made_again(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text(WITHOUT_ENSUREPIP)
    python.chmod(0o755)
    command = ["make", "demo", f"VENV={tmp_path}/venv", f"PYTHON={python}"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    for _ in range(2):
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environ)
        assert done.returncode == 2
        assert "ensurepip is not available" in done.stderr
