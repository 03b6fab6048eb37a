"""Identifiers and docstrings use the words of the glossary: what 0.1 made up for itself does not come back."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.markdown import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "exporter"
# Whole identifiers: classes, functions, attributes, parameters and variables, with or without a leading underscore.
RETIRED_NAMES: Final = frozenset(
    {
        *("Crowd", "came", "went", "end_askers", "asking_since", "reading_since", "moved_at", "roomy"),
        *("piece_bytes", "InForce", "in_force", "Rules", "mind", "Passwords", "Verdict", "verdict"),
        *("Material", "Unusable", "goodbye", "asks", "turn_away", "taken_in", "Lesson", "lesson", "learn"),
        *("Heard", "heard", "Answer", "answers", "swept", "asked_at", "gave_up", "at_once", "Sweep", "stuck"),
        *("endless", "AskPage", "AskMedia", "ask", "ask_page", "ask_media", "ends_slice", "Need", "looks_at"),
        *("Publishing", "Place", "Look", "lives", "Described", "Describes", "Savings", "Packer", "Packed"),
        *("Texts", "Spelling", "Spelt", "spelt", "lasting", "legible", "Negotiated", "Wish", "around_row"),
        *("of_row", "no_plays", "Piece", "seen_from", "stands", "Fetched", "Asked", "asked", "Turn"),
        *("Pace", "slow_down", "speed_up", "Budget", "BudgetSpent", "budget_spent", "Ledger", "Pause", "Meaning"),
        *("Repeat", "NotAsked", "not_asked", "Caller", "Refreshed", "Kept", "Fetcher", "Origin", "origins"),
        *("Uri", "FromParts", "from_parts", "explained", "provided", "aside", "Keeps", "keep_for"),
        *("Surroundings", "Reloads", "short_turns", "ShortCollections", "Hangups", "told_to_stop", "Silenced"),
        *("known_alike", "reached_alike", "complaint", "Mistake", "mistakes", "Listed", "OneOf"),
        *("checked_together", "everything_at_once", "Doubt", "doubt", "doubts", "is_anyones", "nobodys"),
        *("Damaged", "Facts", "facts", "has_come", "oldest_kept", "Observed", "Watched", "Trouble"),
        *("SqliteTrouble", "the_shard", "Refusal", "Journal", "Received", "Catalogue", "catalogue", "kept_bytes"),
        *("over_http", "path_alone", "refused_head", "rehearse", "unsure", "whenever"),
    }
)
RETIRED_MODULES: Final = frozenset(
    {
        *("answer_fields", "asking", "catalogue", "checked", "choice", "codes", "days", "described", "document"),
        *("editor", "failures", "fetching", "forgetting", "go_names", "history", "in_force", "interpolation"),
        *("interpreter", "journal", "learn", "limits", "misbehaviour", "observed", "origins", "overview"),
        *("packing", "passwords", "past", "past_days", "pause", "polling", "privacy", "publisher", "publishing"),
        *("reading", "refreshing", "refusals", "replies", "roles", "search", "security", "sentences", "shapes"),
        *("shard", "snapshot", "spelling", "sweep", "verification", "waits", "words"),
    }
)
MODULES: Final = sorted(PACKAGE.rglob("*.py"))


def glossary() -> frozenset[str]:
    """The words, and phrases of several words, in the table of the glossary of those that are not used."""
    (table,) = (rows for rows in tables("docs/design/glossary.md") if rows[0] == ["not", "but"])
    cells = (re.sub(r"\(.*?\)", "", not_used) for not_used, _ in table[1:])
    return frozenset(word.strip() for cell in cells for word in cell.split(","))


RETIRED_WORDS: Final = glossary()
# Names of tests are sentences, in which these are plain English.
PLAIN_IN_TESTS: Final = frozenset({"asks", "asking", "catalogue", "crowd", "goes"})
# Permissions of files and the JSON's names.
FIXED_NAMES: Final = ("world_writable", "world_readable")
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
    for fixed in FIXED_NAMES:
        name = name.replace(fixed, "")
    return frozenset(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def with_retired_words(tree: ast.AST, retired_words: frozenset[str] = RETIRED_WORDS) -> list[str]:
    """The identifiers in it that contain a retired word, each with its line, and the docstrings that do."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)]
    pattern = re.compile(rf"\b({'|'.join(retired_words)})\b".replace(" ", r"\s+"), re.IGNORECASE)
    return [
        *(f"{line}: {name}" for line, name in identifiers(tree) if words(name) & retired_words),
        *filter(pattern.search, texts),
    ]


def retired(source: str) -> list[str]:
    """The retired names in it, each with its line."""
    return [f"{line}: {name}" for line, name in identifiers(ast.parse(source)) if name.strip("_") in RETIRED_NAMES]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_uses_no_retired_name(path: Path) -> None:
    assert not retired(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_identifier_and_no_docstring_contains_a_retired_word(path: Path) -> None:
    retired_words = RETIRED_WORDS - PLAIN_IN_TESTS if path in TESTS else RETIRED_WORDS
    assert not with_retired_words(ast.parse(path.read_text(encoding="utf-8")), retired_words)


def test_no_module_has_a_retired_name() -> None:
    assert not [path for path in MODULES if path.stem in RETIRED_MODULES]


def test_no_two_classes_have_one_name() -> None:
    """Except the simulator's own, which shares no code with what it tests."""
    classes = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, times in classes.items() if times > 1} == {
        "Category",
        "CategoryTree",
        "PlayerQuery",
    }


def test_retired_names_are_found_wherever_they_stand() -> None:
    source = "class Crowd:\n    def learn(self, lesson):\n        self._heard = doubts(swept=lesson)\n"

    found = ["1: Crowd", "2: learn", "2: lesson", "3: _heard", "3: doubts", "3: lesson", "3: swept"]
    assert sorted(retired(source)) == found


def test_retired_words_are_found_in_every_style_of_name() -> None:
    source = "class SaidSo:\n    def was_told(self, stage):\n        self._nobody = TOLD = stages = saidso = stage\n"

    found = ["1: SaidSo", "2: stage", "2: was_told", "3: TOLD", "3: _nobody", "3: stage"]
    assert sorted(with_retired_words(ast.parse(source))) == found


@pytest.mark.parametrize("word", ["heard", "asked", "gave up", "mends", "stage"])
def test_words_of_the_glossary_are_retired_in_docstrings_too(word: str) -> None:
    spread = word.replace(" ", "\n    ").capitalize()
    assert with_retired_words(ast.parse(f'def f():\n    """{spread} what it is."""\n'))
    assert not with_retired_words(ast.parse(f'def f():\n    """Un{word}ed."""\n'))
