"""The texts of the page in English and Chinese, and which language a browser prefers."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from exporter.weighted_header import weighted_items

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
    weights = dict.fromkeys(LANGUAGES, 0.0)
    for item in weighted_items(accept_language):
        language = item.value.partition("-")[0]
        if language in weights:
            weights[language] = max(weights[language], item.weight)
    return "zh" if weights["zh"] > weights["en"] else "en"
