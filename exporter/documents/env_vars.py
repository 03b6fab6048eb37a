"""Expand `${NAME}`, `${NAME:-default}` and `$$` in one value; independent of YAML and of settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# A default that is not closed extends to the end: otherwise each `${NAME:-` would be compared with all text after it.
_REFERENCE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:\}|:-(?P<default>[^}]*)(?:\}|(?P<unclosed>\Z)))"
    r"|(?P<malformed>\{))"
)
_MALFORMED: Final = "`${` begins a variable: write ${NAME} or ${NAME:-default}, or $${ for the characters themselves"
_NESTED: Final = "a default cannot hold another variable: write ${NAME:-default} with plain text as default"


@dataclass(frozen=True, slots=True)
class Expansion:
    """A value with its variables expanded, and a sentence for each one that could not be expanded."""

    text: str
    problems: tuple[str, ...]


def expand(text: str, environ: Mapping[str, str]) -> Expansion:
    """Expand variables. As in a shell, the default also replaces a variable that is set but empty.

    Values are not expanded again. Error sentences name variables, never their values.
    """
    problems: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        if match["malformed"] or match["unclosed"] is not None:
            problems.append(_MALFORMED)
            return ""
        name, default = match["name"], match["default"]
        value = environ.get(name)
        if default is not None and not value:
            if "${" in default.replace("$$", ""):
                problems.append(_NESTED)
            return default.replace("$$", "$")
        if value is None:
            problems.append(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
            return ""
        if not is_unicode(value):
            problems.append(f"the environment variable {name} is not UTF-8 text")
        return value

    return Expansion(_REFERENCE.sub(replace, text), tuple(problems))


def is_unicode(text: str) -> bool:
    """False for a text with surrogates, which Python uses for bytes that are not UTF-8 (PEP 383)."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
