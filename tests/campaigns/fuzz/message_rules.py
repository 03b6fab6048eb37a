"""The rules for every message about bad input: printable, short, without secrets."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.errors import ConfigError

# Long enough for every list of allowed values; input that is longer is quoted in part.
LONGEST_SENTENCE: Final = 2_000


def check_sentence(text: str, *, longest: int = LONGEST_SENTENCE) -> None:
    """One line that any terminal can show."""
    assert text, "the message is empty"
    assert text.isprintable(), f"cannot be printed: {text!a}"
    assert len(text) <= longest, f"{len(text)} characters: {text:.200}"


def check_no_secrets(secrets: Iterable[str], *texts: str) -> None:
    """No message contains a secret."""
    for secret in secrets:
        for text in texts:
            assert secret not in text, f"{secret!r} is shown: {text[:500]!r}"


def check_refusal(error: ConfigError, *, lines: int, secrets: Iterable[str]) -> None:
    """The errors of a rejected configuration have valid positions, and reveal no secret."""
    assert error.problems, "refused without a reason"
    for problem in error.problems:
        assert 0 <= problem.line <= lines + 1, f"line {problem.line} of {lines}"
        assert (problem.column >= 1) == (problem.line >= 1), f"column {problem.column} of line {problem.line}"
        check_sentence(str(problem))
    check_no_secrets(secrets, "".join(traceback.format_exception(error)), repr(error), repr(error.problems))
