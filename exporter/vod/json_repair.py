"""Repair nearly valid JSON: replace an invalid string or value, so that only this value is lost."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that is no JSON, or not of the expected type."""

_LARGEST: Final = 512 * 1024
# In JSON a backslash always begins an escape. A surrogate pair matches as one escape; the group is a lone surrogate.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# A string, up to its end or the end of the body, so that each byte is scanned once; or an unquoted value.
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)|[^\s",:\[\]{}]++', re.DOTALL)
# Control characters must be escaped in JSON; DEL, which is one too, need not be.
_WITHOUT_CONTROLS: Final = bytes([0x7F] * 32) + bytes(range(32, 256))
_LITERAL: Final = re.compile(rb"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def attempts(body: bytes) -> Iterator[tuple[bytes, bool]]:
    """The body, and what each repair changes of it; and whether it is still the text that the service sent.

    For a caller that tries each until one can be decoded.
    """
    yield body, True
    text = with_text_repaired(body)
    if text != body:
        yield text, True
    valid = _with_literals_replaced(text)
    if valid != text:
        yield valid, False


def with_text_repaired(body: bytes) -> bytes:
    """The body without a byte order mark and with U+FFFD for lone surrogates, as a truncated emoji in a title has."""
    text = body.decode("utf-8-sig", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], text)


def _with_literals_replaced(body: bytes) -> bytes:
    """The body with values that are not JSON, such as NaN, as `true`, which is read as neither number nor string.

    Control characters in strings become DEL. Bodies far longer than a genuine page are returned unchanged.
    """
    return _TOKEN.sub(_replaced, body) if len(body) <= _LARGEST else body


def _replaced(found: re.Match[bytes]) -> bytes:
    token = found[0]
    if token[:1] == b'"':
        return token.translate(_WITHOUT_CONTROLS)
    return token if _LITERAL.fullmatch(token) else b"true"
