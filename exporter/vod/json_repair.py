"""Repair nearly valid JSON: replace an invalid string or value, so that only this value is lost."""

from __future__ import annotations

import re
from typing import Final

# In JSON a backslash always begins an escape. A surrogate pair matches as one escape; the group is a lone surrogate.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# A string up to its end or that of the body, so that each byte is scanned once. The group is an unquoted value.
_TEXT: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)(?:\s*+:\s*+([^\s",\[\]{}]++))?', re.DOTALL)
_LITERAL: Final = re.compile(rb"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def with_text_repaired(body: bytes) -> bytes:
    """The body without a byte order mark and with U+FFFD for lone surrogates, as a truncated emoji in a title has."""
    text = body.decode("utf-8-sig", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], text)


def with_literals_replaced(body: bytes) -> bytes:
    """The body with values that are not JSON, such as NaN, as `true`, which is read as neither number nor string."""
    return _TEXT.sub(_replaced, body)


def _replaced(found: re.Match[bytes]) -> bytes:
    if found[1] is None or _LITERAL.fullmatch(found[1]):
        return found[0]
    return found[0][: found.start(1) - found.start()] + b"true"
