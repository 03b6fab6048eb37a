"""Text from outside, made safe for UTF-8, terminals, logs and labels."""

from __future__ import annotations

import re
from typing import Final

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
SPACES: Final = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
"""All spaces but the ASCII one. Titles in Chinese have U+3000; Python calls none of them printable."""

# A Python string can contain lone surrogates, UTF-8 cannot; Prometheus would reject the whole scrape.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def replace_surrogates(text: str) -> str:
    """Replace each lone surrogate by U+FFFD, so that the text can be encoded as UTF-8."""
    return _SURROGATE.sub(_REPLACEMENT, text)


def printable(text: str, *, keep: str = "", instead: str = _REPLACEMENT) -> str:
    """Replace each character that is neither printable nor one of `keep`: it may control a terminal or forge a line."""
    return "".join(letter if letter.isprintable() or letter in keep else instead for letter in text)


def shortened(text: str, longest: int) -> str:
    """Cut a text to at most `longest` characters, the last of which then is an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
