from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from exporter.status import languages as module
from exporter.status.languages import LANGUAGES, preferred, words


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    english, chinese = map(words, LANGUAGES)

    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert placeholders(text) == placeholders(chinese[key]), key


def placeholders(text: str) -> list[str]:
    """Numbered ones in their order, and named ones, whose order differs between languages."""
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def test_every_text_is_used() -> None:
    folder = Path(module.__file__).parent
    used = " ".join(path.read_text() for path in [*folder.glob("*.py"), folder / "templates" / "page.html"])
    for key in words("en"):
        family = re.match(
            r"(trouble|kind|by|state|meaning|result|media|sort|media_sort|account|days_ago|span|link)_", key
        )
        assert re.search(rf"\b{key}\b", used) or (family and f"{family[1]}_" in used), key


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("ZH-hant", "zh"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("de, zh;q=0.5", "zh"),
        ("zh;q=0", "en"),
        ("zh;q=0.5, en;q=0.5", "en"),
        ("zh;q=0.5;x=1, en;q=0.4", "zh"),
        ("zh;q=nan, zh;q=x, zh;q=7", "en"),
        ("fr", "en"),
        ("," * 100_000, "en"),
    ],
)
def test_the_preferred_language_is_chosen(header: str | None, language: str) -> None:
    assert preferred(header) == language
