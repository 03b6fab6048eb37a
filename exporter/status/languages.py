"""The page in English or Chinese: its texts, messages of other modules, and which language a browser prefers."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from exporter.weighted_header import weighted_items

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LANGUAGES: Final = ("en", "zh")

# Error codes that the exporter assigns, not the service; the messages of these errors are the exporter's, too.
OWN_CODES: Final = frozenset({"timeout", "connect", "malformed", "credentials", "calls_per_day", "parameter"})


@cache
def words(language: str) -> Mapping[str, str]:
    """Return all texts by key, in one of `LANGUAGES`."""
    content = files("exporter.status").joinpath("templates", f"{language}.toml").read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(content))


def preferred(accept_language: str | None) -> str:
    """Return `zh` if the header Accept-Language prefers Chinese to English, else `en`."""
    weights = dict.fromkeys(LANGUAGES, 0.0)
    for item in weighted_items(accept_language):
        language = item.value.partition("-")[0]
        if language in weights:
            weights[language] = max(weights[language], item.weight)
    return "zh" if weights["zh"] > weights["en"] else "en"


def translated(section: str, text: str, language: str) -> str | None:
    """Translate a text of a section (`advice`, `message`, `problem` or `reason`) into one of `languages.LANGUAGES`.

    Returns None if the text is not one of the exporter's.
    """
    for pattern, chinese in _texts(section):
        if found := pattern.fullmatch(text):
            if language == "en":
                return text
            # A message of the network may contain reasons of its own.
            parts = found.groups()
            return chinese.format(*(translated("reason", part, language) or part for part in parts))
    return None


def is_own(code: str, message: str) -> bool:
    """Return whether the message of a failure is the exporter's, not the service's."""
    return code in OWN_CODES or translated("message", message, "en") is not None


@cache
def _texts(section: str) -> Sequence[tuple[re.Pattern[str], str]]:
    """Return patterns of the English texts, in which `{}` matches anything, with the Chinese ones; longest first."""
    content = files("exporter.status").joinpath("templates", "translations.toml").read_text(encoding="utf-8")
    pairs: Mapping[str, str] = tomllib.loads(content)[section]
    return [
        (re.compile("(.*?)".join(map(re.escape, english.split("{}"))), re.DOTALL), chinese)
        for english, chinese in sorted(pairs.items(), key=lambda pair: -len(pair[0]))
    ]
