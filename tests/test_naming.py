"""Identifiers use the words of the field: those that 0.1 made up for itself do not come back."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = Path(__file__).parents[1] / "exporter"
# Whole identifiers: classes, functions, attributes, parameters and variables, with or without a leading underscore.
RETIRED_NAMES: Final = frozenset(
    {
        *("ask_media", "ask_page", "asking_since", "at_once", "budget_spent", "checked_together", "complaint", "crowd"),
        *("doubt", "doubts", "end_askers", "everything_at_once", "explained", "from_parts", "gave_up", "heard"),
        *("in_force", "is_anyones", "kept_bytes", "keep_for", "known_alike", "learn", "legible", "lesson", "looks_at"),
        *("mind", "moved_at", "no_plays", "nobodys", "not_asked", "of_row", "origins", "over_http", "path_alone"),
        *(
            "reached_alike",
            "reading_since",
            "refused_head",
            "rehearse",
            "roomy",
            "short_turns",
            "swept",
            "unsure",
            "whenever",
        ),
        *("AskMedia", "AskPage", "Asked", "Crowd", "Damaged", "Described", "Describes", "Doubt", "Facts", "Fetched"),
        *(
            "FromParts",
            "Heard",
            "InForce",
            "Keeps",
            "Lesson",
            "Meaning",
            "Mistake",
            "Negotiated",
            "NotAsked",
            "Observed",
        ),
        *("Origin", "Pace", "Packed", "Packer", "Passwords", "Piece", "Publishing", "Refreshed", "Refusal", "Savings"),
        *("Share", "Spelling", "Spelt", "Surroundings", "Sweep", "Trouble", "Turn", "Unusable", "Verdict", "Watched"),
    }
)
RETIRED_MODULES: Final = frozenset(
    {
        *(
            "asking",
            "checked",
            "codes",
            "days",
            "described",
            "document",
            "editor",
            "failures",
            "fetching",
            "forgetting",
        ),
        *(
            "go_names",
            "history",
            "in_force",
            "interpolation",
            "interpreter",
            "journal",
            "learn",
            "limits",
            "misbehaviour",
        ),
        *("observed", "origins", "overview", "packing", "passwords", "past", "past_days", "pause", "poll", "polling"),
        *("privacy", "publisher", "publishing", "reading", "refreshing", "refusals", "replies", "roles", "search"),
        *("security", "sentences", "shapes", "shard", "snapshot", "spelling", "sweep", "waits", "words"),
    }
)
MODULES: Final = sorted(PACKAGE.rglob("*.py"))


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that a module defines or uses, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.lineno, node.name
            case ast.Name():
                yield node.lineno, node.id
            case ast.Attribute():
                yield node.lineno, node.attr
            case ast.arg() | ast.keyword() if node.arg is not None:
                yield node.lineno, node.arg


def retired(source: str) -> list[str]:
    """The retired names in it, each with its line."""
    return [f"{line}: {name}" for line, name in identifiers(ast.parse(source)) if name.strip("_") in RETIRED_NAMES]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_uses_no_retired_name(path: Path) -> None:
    assert not retired(path.read_text(encoding="utf-8"))


def test_no_module_has_a_retired_name() -> None:
    assert not [path for path in MODULES if path.stem in RETIRED_MODULES]


def test_retired_names_are_found_wherever_they_stand() -> None:
    source = "class Crowd:\n    def learn(self, lesson):\n        self._heard = doubts(swept=lesson)\n"

    found = ["1: Crowd", "2: learn", "2: lesson", "3: _heard", "3: doubts", "3: lesson", "3: swept"]
    assert sorted(retired(source)) == found
