"""Identifiers use the words of the field: those that 0.1 made up for itself do not come back, nor do they in tests."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "exporter"
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
# Parts of identifiers, in the package and in tests. See docs/design/glossary.md for the words to use instead.
RETIRED_WORDS: Final = frozenset(
    {
        *("anybody", "complaint", "complaints", "doubt", "doubted", "doubts", "heard", "learnt", "ledger", "mend"),
        *("mended", "mends", "nobody", "nobodys", "said", "somebody", "spelt", "stage", "staged", "surroundings"),
        *("told", "whoever"),
    }
)
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))
CODE: Final = [*MODULES, *TESTS]


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


@functools.cache
def words(name: str) -> frozenset[str]:
    """The words of an identifier, in lower case."""
    return frozenset(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def with_retired_words(tree: ast.AST) -> list[str]:
    """The identifiers in it that contain a retired word, each with its line, and the docstrings that do."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)]
    return [
        *(f"{line}: {name}" for line, name in identifiers(tree) if words(name) & RETIRED_WORDS),
        *(text for text in texts if RETIRED_WORDS & set(re.findall(r"[a-z]+", text.lower()))),
    ]


def retired(source: str) -> list[str]:
    """The retired names in it, each with its line."""
    return [f"{line}: {name}" for line, name in identifiers(ast.parse(source)) if name.strip("_") in RETIRED_NAMES]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_uses_no_retired_name(path: Path) -> None:
    assert not retired(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_identifier_and_no_docstring_contains_a_retired_word(path: Path) -> None:
    assert not with_retired_words(ast.parse(path.read_text(encoding="utf-8")))


def test_no_module_has_a_retired_name() -> None:
    assert not [path for path in MODULES if path.stem in RETIRED_MODULES]


def test_retired_names_are_found_wherever_they_stand() -> None:
    source = "class Crowd:\n    def learn(self, lesson):\n        self._heard = doubts(swept=lesson)\n"

    found = ["1: Crowd", "2: learn", "2: lesson", "3: _heard", "3: doubts", "3: lesson", "3: swept"]
    assert sorted(retired(source)) == found


def test_retired_words_are_found_in_every_style_of_name() -> None:
    source = "class SaidSo:\n    def was_told(self, stage):\n        self._nobody = TOLD = stages = saidso = stage\n"

    found = ["1: SaidSo", "2: stage", "2: was_told", "3: TOLD", "3: _nobody", "3: stage"]
    assert sorted(with_retired_words(ast.parse(source))) == found
