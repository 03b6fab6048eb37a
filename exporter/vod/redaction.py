"""Remove secrets from texts, in every encoding in which a server might repeat them."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"

# Real secrets have 30 characters; hiding shorter ones, as in tests, would remove parts of words.
_SHORTEST: Final = 6
# Temporary credentials change every hour: these are the secrets of several days.
_MOST_KEPT: Final = 512
# Characters by which the beginning of a secret that was cut off is recognized.
_BEGINNING: Final = 12
# Characters of a text.
_LONGEST: Final = 4096
# A secret may be repeated in a URL within JSON within HTML.
_DEEPEST: Final = 3
_ESCAPE: Final = re.compile(r"(?:%|\\x|\\u00)([0-9a-f]{2})|\\([\"/\\])|&#?\w{2,8};", re.IGNORECASE)


class Secrets(Collection[str]):
    """The secrets of all accounts, recently used ones included: a server may repeat any of them."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def add(self, *secrets: str | None) -> None:
        """Redact these secrets from now on; None and empty ones are ignored."""
        for secret in secrets:
            if secret:
                self._known.pop(secret, None)
                self._known[secret] = None
        while len(self._known) > _MOST_KEPT:
            del self._known[next(iter(self._known))]

    def __contains__(self, secret: object) -> bool:
        """Whether it is redacted."""
        return secret in self._known

    def __iter__(self) -> Iterator[str]:
        """All secrets, the oldest first."""
        return iter(self._known)

    def __len__(self) -> int:
        """The number of secrets."""
        return len(self._known)


def redacted(text: str, secrets: Collection[str]) -> str:
    """The text with every occurrence of a secret replaced by MASK: however encoded, in several lines, or cut off.

    It is cut to _LONGEST characters, more than any caller shows.
    """
    text = text[:_LONGEST]
    index = _index(frozenset(secret for secret in secrets if len(secret) >= _SHORTEST))
    spans = [span for reading in _readings(text) for span in _spans(reading, index)] if index else []
    shown, end = [], 0
    for first, last in sorted(spans):
        if first >= end:
            shown += [text[end:first], MASK]
        end = max(end, last)
    return "".join([*shown, text[end:]])


def _spans(reading: list[tuple[str, int, int]], index: Mapping[str, Collection[str]]) -> Iterator[tuple[int, int]]:
    """The places in the text that match a secret."""
    letters = _lower("".join(letter for letter, _, _ in reading))
    for at in range(len(letters)):
        for secret in index.get(letters[at : at + _SHORTEST], ()):
            for encoding in _encodings(secret):
                if letters.startswith(encoding[:_BEGINNING], at):
                    pairs = zip(encoding, letters[at:], strict=False)
                    length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
                    yield reading[at][1], reading[at + length - 1][2]


def _readings(text: str) -> Iterator[list[tuple[str, int, int]]]:
    """The characters with the places they come from: all, the visible ones, and both again without escapes."""
    reading = [(letter, at, at + 1) for at, letter in enumerate(text)]
    for _ in range(_DEEPEST + 1):
        yield reading
        yield [each for each in reading if each[0].isprintable() and each[0] != " "]
        resolved, end = [], 0
        for escape in _ESCAPE.finditer("".join(letter for letter, _, _ in reading)):
            first, last = reading[escape.start()][1], reading[escape.end() - 1][2]
            letters = chr(int(escape[1], 16)) if escape[1] else escape[2] or html.unescape(escape[0])
            resolved += [*reading[end : escape.start()], *((letter, first, last) for letter in letters)]
            end = escape.end()
        if not end:
            return
        reading = resolved + reading[end:]


@lru_cache(4)
def _index(secrets: frozenset[str]) -> Mapping[str, Collection[str]]:
    """The secrets by the first characters of their encodings: a pattern of all would take seconds to compile."""
    index: dict[str, set[str]] = {}
    for secret in secrets:
        for encoding in _encodings(secret):
            index.setdefault(encoding[:_SHORTEST], set()).add(secret)
    return index


@lru_cache(2 * _MOST_KEPT)  # with those replaced since the last use
def _encodings(secret: str) -> frozenset[str]:
    return frozenset(map(_lower, _all_encodings(secret)))


def _lower(text: str) -> str:
    """The text in lower case, without characters that would become two: escapes match in either letter case."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


def _all_encodings(secret: str) -> Iterator[str]:
    """A secret as it is; URL-encoded once and twice; escaped for JSON and HTML; in hexadecimal and base64.

    In base64 also as a part of a longer text.
    """
    data = secret.encode("utf-8", "surrogateescape")
    quoted = [quote(data, safe="~"), quote(data, safe=""), quote(data), quote_plus(data)]
    in_json = [json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    in_base64 = [encode(data).decode() for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    yield secret
    yield from quoted
    yield from (quote(text, safe="~") for text in quoted)
    yield from in_json
    yield from (text.replace("/", "\\/") for text in in_json)
    yield re.sub("[^A-Za-z0-9]", lambda found: f"\\u{ord(found[0]):04x}", secret)
    yield html.escape(secret)
    yield "".join(c if c.isascii() and c.isalnum() else f"&#{ord(c)};" for c in secret)
    yield "".join(c if c.isascii() and c.isalnum() else f"&#x{ord(c):x};" for c in secret)
    yield data.hex()
    yield data.hex(":")
    yield base64.b32encode(data).decode().rstrip("=")
    yield from (text.rstrip("=") for text in in_base64)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # Only characters that do not depend on the bytes before and after.
            inner = encode(b"\0" * before + data).decode()[(0, 2, 3)[before] :]
            inner = inner.rstrip("=")[:-1] if inner.endswith("=") else inner
            if len(inner) >= _SHORTEST:
                yield inner
