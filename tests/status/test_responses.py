from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.core.player_query import PlayerQuery, PlayerTarget, PlayerView
from exporter.errors import ErrorKind, UpstreamError
from exporter.status.filters import Filters
from exporter.status.responses import document
from exporter.status.summary import summarize
from tests.status.examples import (
    EXPECTING,
    Number,
    known,
    observed,
    report,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "status.md"
# What they hold is named by states, results and parameters.
_OPEN = {"filters", "queries[].polls", "days[].states"}


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Every field by its path, as in `accounts[].name`."""
    if isinstance(value, dict) and path not in _OPEN:
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from paths(value[0], f"{path}[]")
    else:
        yield path


def named(section: str) -> set[str]:
    """The first cells of the tables between a heading and the next of its level."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_documentation_describes_exactly_the_fields_of_the_json() -> None:
    failed = report(EXPECTING, UpstreamError("no", code="X", kind=ErrorKind.OTHER))
    error = Number("aliyun_vod_api_errors_total", 1, {"account": "main", "code": "X", "kind": "other"})
    seen = observed(known(1, {"a": 1}), queries=[EXPECTING], reports=[failed], numbers=[error])
    target = PlayerTarget("main", "app-1000000", "web")
    player = PlayerView(PlayerQuery("p", "main", (target,), 300, "5m", ("plays",), (86_400,)), target)
    view = summarize(replace(seen, player=(player,)), Filters())

    assert set(paths(json.loads(document(view)))) == named("Fields")


def test_the_documentation_describes_every_parameter() -> None:
    assert {field.name for field in fields(Filters)} == named("Parameters")
