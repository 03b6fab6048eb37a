"""The tests and modules that docs/security.md names exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(
    set(re.findall(r"`((?:exporter|tests|docs)/[\w./]*(?:::\w+)?)`", (ROOT / "docs/security.md").read_text("utf-8")))
)


def test_the_page_names_modules_and_tests() -> None:
    assert len(NAMED) > 20
    assert sum("::" in name for name in NAMED) > 8


@pytest.mark.parametrize("name", NAMED)
def test_every_name_on_the_page_exists(name: str) -> None:
    path, _, test = name.partition("::")
    assert (ROOT / path).exists()
    if test:
        module = ast.parse((ROOT / path).read_text("utf-8"))
        assert test in {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
