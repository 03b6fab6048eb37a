"""The test suite itself: slow tests exist, and a test that hangs ends with the place where it waits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NOT_SLOW, SLOW

TESTS = Path(__file__).parent
HANGS = """
import asyncio

import pytest

async def for_ever():
    await asyncio.Event().wait()

@pytest.mark.timeout(5)
async def test_hangs():
    await for_ever()

def test_another():
    pass
"""


@pytest.mark.parametrize("name", [*SLOW, *NOT_SLOW])
def test_what_is_slow_is_there(name: str) -> None:
    file, _, test = name.partition("[")[0].partition("::")
    assert (TESTS / file).exists()
    assert not test or f"def {test}" in (TESTS / file).read_text(encoding="utf-8")


def test_a_test_that_hangs_ends_and_says_where_it_waits(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_hanging.py").write_text(HANGS)
    argv = ["--asyncio-mode=auto", "-p", "no:cacheprovider", "-c", "/dev/null", "--numprocesses=1"]

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *argv, str(tmp_path)],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 1
    assert "test_hanging.py:11: in test_hangs\n" in ran.stdout
    assert "test_hanging.py:7: in for_ever\n" in ran.stdout
    assert "1 failed, 1 passed" in ran.stdout
