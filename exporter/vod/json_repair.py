"""JSON that is nearly JSON: what is wrong with one text or one value is replaced, so that it costs that value alone."""

from __future__ import annotations

import re
from typing import Final

# In JSON a backslash always begins an escape. Pairs of surrogates are one escape here; a surrogate alone is the group.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# A text to its end, or to that of the body: so each byte is looked at once. The group is a bare word that is a value.
_TEXT: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)(?:\s*+:\s*+([^\s",\[\]{}]++))?', re.DOTALL)
_LITERAL: Final = re.compile(rb"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def with_text_repaired(body: bytes) -> bytes:
    """The body without a byte order mark, and U+FFFD for half characters: a cut emoji in a title costs no page."""
    text = body.decode("utf-8-sig", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], text)


def with_literals_replaced(body: bytes) -> bytes:
    """The body with `true`, which is neither a number nor a text, for values that JSON does not know, such as NaN."""
    return _TEXT.sub(_replaced, body)


def _replaced(found: re.Match[bytes]) -> bytes:
    if found[1] is None or _LITERAL.fullmatch(found[1]):
        return found[0]
    return found[0][: found.start(1) - found.start()] + b"true"
