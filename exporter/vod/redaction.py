"""Remove secrets from texts, in every encoding in which a server might repeat them."""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import quote, quote_plus

MASK: Final = "***"

_Reading: TypeAlias = list[tuple[str, int, int]]

# Real secrets have 30 characters; hiding shorter ones, as in tests, would remove parts of words.
_SHORTEST: Final = 6
# Temporary credentials change every hour: these are the secrets of several days.
_MOST_KEPT: Final = 512
# Characters by which a secret that was cut off is recognized, at its beginning or its end.
_PART: Final = 12
# Characters of a text.
_LONGEST: Final = 4096
# A secret may be repeated in a URL within JSON within HTML.
_DEEPEST: Final = 3
_ESCAPE: Final = re.compile(r"(?:%|%u00|\\x|\\u00)([0-9a-f]{2})|\\([\"/\\nrt])|&#?\w{2,8};", re.IGNORECASE)
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t"}
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_TO_STANDARD: Final = str.maketrans("-_", "+/")


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
    spans = [span for reading in _readings(text) for span in _spans(reading, *index)] if index[0].known else []
    shown, end = [], 0
    for first, last in sorted(spans):
        if first >= end:
            shown += [text[end:first], MASK]
        end = max(end, last)
    return "".join([*shown, text[end:]])


def _spans(reading: _Reading, beginnings: _Beginnings, ends: _Beginnings) -> Iterator[tuple[int, int]]:
    """The places in the text that match a secret, or a part that begins or ends one."""
    letters = _lower("".join(letter for letter, _, _ in reading))
    for at, length in beginnings.found(letters):
        yield reading[at][1], reading[at + length - 1][2]
    for at, length in ends.found(letters[::-1]):
        yield reading[-at - length][1], reading[-at - 1][2]


class _Beginnings:
    """Finds what a text has in common with the beginnings of texts; a pattern of all would take seconds to compile."""

    def __init__(self, known: Iterable[str]) -> None:
        self.known = sorted(known)
        self._first = {each[:_SHORTEST] for each in self.known}
        self._short = {each for each in self.known if len(each) < _PART}
        self._longest = max(map(len, self.known), default=0)

    def found(self, text: str) -> Iterator[tuple[int, int]]:
        """The places and lengths of parts that are whole, or have at least _PART characters."""
        for at in range(len(text)):
            if text[at : at + _SHORTEST] not in self._first:
                continue
            rest = text[at : at + self._longest]
            after = bisect(self.known, rest)
            # In this order, neighbours have most in common.
            length = max(_common(rest, each) for each in self.known[max(0, after - 1) : after + 1])
            if length >= _PART:
                yield at, length
            for size in range(_SHORTEST, _PART):
                if len(rest) >= size and rest[:size] in self._short:
                    yield at, size


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    for at, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return at
    return min(len(one), len(other))


def _readings(text: str) -> Iterator[_Reading]:
    """The characters with the places they come from: all, the visible ones, and both without escapes or base64."""
    level = [[(letter, at, at + 1) for at, letter in enumerate(text)]]
    for _ in range(_DEEPEST + 1):
        for reading in level:
            yield reading
            yield [each for each in reading if each[0].isprintable() and each[0] != " "]
        level = [further for reading in level for further in (_unescaped(reading), _from_base64(reading)) if further]


def _unescaped(reading: _Reading) -> _Reading:
    def letters(escape: re.Match[str]) -> _Reading:
        if escape[1]:
            meant = chr(int(escape[1], 16))
        else:
            meant = _CONTROLS.get(escape[2], escape[2]) if escape[2] else html.unescape(escape[0])
        return [(letter, 0, len(escape[0])) for letter in meant]

    return _resolved(reading, _ESCAPE, letters)


def _from_base64(reading: _Reading) -> _Reading:
    def decoded(run: re.Match[str]) -> _Reading:
        whole = len(run[0]) - (len(run[0]) % 4 == 1)
        data = base64.b64decode(run[0][:whole].translate(_TO_STANDARD) + "==")
        return [(chr(byte), at * 4 // 3, at * 4 // 3 + 2) for at, byte in enumerate(data)]

    return _resolved(reading, _BASE64, decoded)


def _resolved(reading: _Reading, pattern: re.Pattern[str], resolve: Callable[[re.Match[str]], _Reading]) -> _Reading:
    """The reading with every match replaced by its meaning, whose places are those in the match; empty if none."""
    resolved: _Reading = []
    end = 0
    for found in pattern.finditer("".join(letter for letter, _, _ in reading)):
        inner = reading[found.start() : found.end()]
        resolved += reading[end : found.start()]
        resolved += [(letter, inner[first][1], inner[last - 1][2]) for letter, first, last in resolve(found)]
        end = found.end()
    return resolved + reading[end:] if end else []


@lru_cache(4)
def _index(secrets: frozenset[str]) -> tuple[_Beginnings, _Beginnings]:
    """The beginnings of all encodings, and the reversed ends."""
    return (
        _Beginnings({encoding for secret in secrets for encoding in _encodings(secret)}),
        _Beginnings({_lower(end)[::-1] for secret in secrets for end in _ends(secret)}),
    )


@lru_cache(2 * _MOST_KEPT)  # with those replaced since the last use
def _encodings(secret: str) -> frozenset[str]:
    return frozenset(map(_lower, _all_encodings(secret)))


def _ends(secret: str) -> Iterator[str]:
    """A secret as it is and within base64 of more, which cannot be decoded where its beginning is cut off."""
    data = secret.encode("utf-8", "surrogateescape")
    yield secret
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # The last characters depend on the bytes after.
            yield encode(b"\0" * before + data).decode()[: (before + len(data)) * 4 // 3]


def _lower(text: str) -> str:
    """The text in lower case, without characters that would become two: escapes match in either letter case."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


def _all_encodings(secret: str) -> Iterator[str]:
    """A secret as it is; URL-encoded once and twice; escaped for JSON and HTML; in hexadecimal and base64.

    In base64 also as a part of a longer text.
    """
    data = secret.encode("utf-8", "surrogateescape")
    quoted = [quote(data), quote_plus(data)]
    in_json = [json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    yield secret
    yield from quoted
    yield from (quote(text, safe="") for text in quoted)
    yield from in_json
    yield html.escape(secret)
    yield "".join(c if c.isascii() and c.isalnum() else f"&#{ord(c)};" for c in secret)
    yield "".join(c if c.isascii() and c.isalnum() else f"&#x{ord(c):x};" for c in secret)
    yield data.hex()
    yield data.hex(":")
    yield data.hex("-")
    yield base64.b32encode(data).decode().rstrip("=")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before, dependent in enumerate((0, 2, 3)):
            # Within a longer text, the first characters depend on the bytes before.
            yield encode(b"\0" * before + data).decode()[dependent:].rstrip("=")
