"""PyYAML's messages about syntax errors → what the operator can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# The beginnings of PyYAML's messages. Names are left out: an unquoted secret may look like an anchor.
_ADVICE: Final[Mapping[str, str]] = {
    "found character '\\t'": "a tab is not allowed here; use spaces",
    "found character": "a value that begins with this character must be in quotes",
    "mapping values are not allowed here": "a second `: ` on the line, or wrong indentation; put the value in quotes",
    "expected ',' or": "a syntax error in a list or mapping; a value with brackets, braces or commas must be in quotes",
    "expected the node content": "a value is missing, or a bracket is not closed",
    "expected <block end>": "the indentation does not match the lines above",
    "could not find expected ':'": "`name: value` was expected; a colon needs a space after it",
    "found unexpected end of stream": "a quote is not closed",
    "found undefined alias": "`*` refers to an anchor, and there is none of this name; put the value in quotes",
    "second occurrence": "`&` begins an anchor, and this one is defined twice; put the value in quotes",
    "found undefined tag handle": "tags (`!`) are not allowed here; put the value in quotes",
    "but found another document": "only one document is allowed; remove the line `---`",
    "expected '<document start>'": "`name: value` was expected",
    "sequence entries are not allowed here": "a list must begin on a line of its own, or be written [a, b]",
    "mapping keys are not allowed here": "a value that begins with `? ` must be in quotes",
    "found unknown escape character": "write each backslash twice, or put the value in single quotes",
    "expected escape sequence": "write each backslash twice, or put the value in single quotes",
    "found unexpected document separator": "a quote is not closed before the line `---`",
    "found incompatible YAML document": "remove the line `%YAML`",
    "found duplicate anchor": "`&` begins an anchor, and this one is defined twice; put the value in quotes",
}
# PyYAML's own texts are not shown: they may quote a character of a secret.
_OTHERWISE: Final = "a value with special characters must be in quotes"


def advice_on(problem: str) -> str:
    """What to do about a syntax error, by PyYAML's message."""
    return next((advice for beginning, advice in _ADVICE.items() if problem.startswith(beginning)), _OTHERWISE)
