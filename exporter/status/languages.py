"""The texts of the page in English and Chinese, and which language a browser prefers."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES: Final = ("en", "zh")


@cache
def words(language: str) -> Mapping[str, str]:
    """Return all texts by key, in one of `LANGUAGES`."""
    content = files("exporter.status").joinpath("templates", f"{language}.toml").read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(content))


def preferred(accept_language: str | None) -> str:
    """Return `zh` if the header Accept-Language prefers Chinese to English, else `en`."""
    qualities = dict.fromkeys(LANGUAGES, 0.0)
    for part in (accept_language or "").split(",")[:50]:
        tag, _, parameter = part.partition(";")
        language = tag.strip().lower().partition("-")[0]
        if language in qualities:
            qualities[language] = max(qualities[language], _quality(parameter))
    return "zh" if qualities["zh"] > qualities["en"] else "en"


def _quality(parameter: str) -> float:
    """Parse `q=0.8` as 0.8; an empty parameter is 1, an invalid one 0."""
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        quality = float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
