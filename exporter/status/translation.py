"""What other modules write in English, in the reader's language; what only the service says stays as it is."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.status.views import Failure

# Codes of errors that the service never gave; their messages are all ours.
OWN_CODES: Final = frozenset({"timeout", "connect", "malformed", "credentials", "calls_per_day", "parameter"})


def translated(section: str, text: str, language: str) -> str | None:
    """A text of a section (`advice`, `message` or `problem`) in one of `words.LANGUAGES`; None: it is not ours."""
    for pattern, chinese in _texts(section):
        if found := pattern.fullmatch(text):
            return text if language == "en" else chinese.format(*found.groups())
    return None


def is_own(failure: Failure) -> bool:
    """Whether the message of a failure is ours, not the service's."""
    return failure.code in OWN_CODES or translated("message", failure.message, "en") is not None


@cache
def _texts(section: str) -> Sequence[tuple[re.Pattern[str], str]]:
    """Each English text, `{}` standing for what is filled in, and the Chinese one; the longest first."""
    told = files("exporter.status").joinpath("templates", "translations.toml").read_text(encoding="utf-8")
    pairs: Mapping[str, str] = tomllib.loads(told)[section]
    return [
        (re.compile("(.*?)".join(map(re.escape, english.split("{}"))), re.DOTALL), chinese)
        for english, chinese in sorted(pairs.items(), key=lambda pair: -len(pair[0]))
    ]
