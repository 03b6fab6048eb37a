"""What the page says, in English and in Chinese, and which of the two somebody reads."""

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
    """Everything that is said, by its key, in one of `LANGUAGES`."""
    told = files("exporter.status").joinpath("templates", f"{language}.toml").read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(told))


def preferred(accept_language: str | None) -> str:
    """`zh` for whoever wants Chinese rather than English by the header Accept-Language, else `en`."""
    wants = dict.fromkeys(LANGUAGES, 0.0)
    for part in (accept_language or "").split(",")[:50]:
        tag, _, parameter = part.partition(";")
        language = tag.strip().lower().partition("-")[0]
        if language in wants:
            wants[language] = max(wants[language], _quality(parameter))
    return "zh" if wants["zh"] > wants["en"] else "en"


def _quality(parameter: str) -> float:
    """`q=0.8` → 0.8; nothing is 1, nonsense is 0."""
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        quality = float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
