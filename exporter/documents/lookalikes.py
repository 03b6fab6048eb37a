"""Characters that look like ASCII and are not: full-width punctuation, typographic quotes, other spaces and letters."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# The intended characters where Unicode normalization does not yield them.
_MEANT: Final = {
    "\N{IDEOGRAPHIC COMMA}": ",",
    "\N{HALFWIDTH IDEOGRAPHIC COMMA}": ",",
    "\N{IDEOGRAPHIC FULL STOP}": ".",
    "\N{HALFWIDTH IDEOGRAPHIC FULL STOP}": ".",
    "\N{SINGLE LOW-9 QUOTATION MARK}": ",",
    "\N{ARABIC COMMA}": ",",
    "\N{BULLET}": "-",
    "\N{LEFT CORNER BRACKET}": '"',
    "\N{RIGHT CORNER BRACKET}": '"',
    "\N{LEFT WHITE CORNER BRACKET}": '"',
    "\N{RIGHT WHITE CORNER BRACKET}": '"',
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}": '"',
    "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}": '"',
    "\N{DOUBLE LOW-9 QUOTATION MARK}": '"',
    "\N{FIGURE DASH}": "-",
    "\N{HORIZONTAL BAR}": "-",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT BLACK LENTICULAR BRACKET}": "[",
    "\N{RIGHT BLACK LENTICULAR BRACKET}": "]",
    "\N{LEFT TORTOISE SHELL BRACKET}": "[",
    "\N{RIGHT TORTOISE SHELL BRACKET}": "]",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{HYPHEN}": "-",
    "\N{NON-BREAKING HYPHEN}": "-",
    "\N{MINUS SIGN}": "-",
}
_QUOTES: Final = (
    "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}"
    "\N{RIGHT SINGLE QUOTATION MARK}\N{FULLWIDTH QUOTATION MARK}\N{FULLWIDTH APOSTROPHE}"
)
# Quoted texts and comments of a line.
_NOT_YAML: Final = re.compile(r"""(?<![^\s\[{,:])(?:"(?:[^"\\]|\\.)*"|'[^']*')|(?:^|(?<=\s))\#.*""")
# A syntax error is reported at most this many lines after the character that causes it.
_LINES_BEFORE: Final = 2


def named(text: str) -> str:
    """The first such character of a text, with its name and its replacement; empty if there is none."""
    found = next((letter for letter in text if _is_lookalike(letter) or _is_like_latin(letter)), None)
    if found is not None and not _is_lookalike(found):
        return f"{found!r} (U+{ord(found):04X}, {unicodedata.name(found).lower()}), which is not ASCII: write it again"
    return "" if found is None else _sentence(found)


def hint(text: object, *, secret: bool = False) -> str:
    """The same as the end of a sentence; empty for a value that is not a text.

    For a secret, it never names letters or digits.
    """
    given = "".join(c for c in text if not (secret and c.isalnum())) if isinstance(text, str) else ""
    sentence = named(given)
    return f"; it holds {sentence}" if sentence else ""


def is_quoted(text: str) -> bool:
    """Whether a text is in typographic quotes, which YAML takes as part of the text."""
    return len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES


def near(text: str, line: int) -> tuple[int, int, str] | None:
    """Line and column (from 1) of such a character, outside quotes, in this line or shortly before, and a sentence."""
    lines = text.splitlines()[:line]
    for number in range(len(lines), max(0, len(lines) - 1 - _LINES_BEFORE), -1):
        bare = _NOT_YAML.sub(lambda found: " " * len(found[0]), lines[number - 1])
        for column, letter in enumerate(bare, 1):
            if _is_lookalike(letter):
                return number, column, _sentence(letter)
    return None


def _is_lookalike(letter: str) -> bool:
    if letter.isascii():
        return False
    return letter in _MEANT or not letter.isprintable() or unicodedata.normalize("NFKC", letter).isascii()


def _is_like_latin(letter: str) -> bool:
    """Whether it is of an alphabet that shares shapes with the Latin one."""
    return unicodedata.name(letter, "").startswith(("CYRILLIC ", "GREEK "))


def _sentence(letter: str) -> str:
    shown = f"{letter!r} " if letter.isprintable() else ""
    name = unicodedata.name(letter, "a control character").lower().replace("fullwidth", "full-width")
    meant = _MEANT.get(letter) or (" " if letter.isspace() else unicodedata.normalize("NFKC", letter))
    instead = f"write {meant!r}" if meant.isascii() and meant else "remove it"
    return f"{shown}(U+{ord(letter):04X}, {name}): {instead}"
