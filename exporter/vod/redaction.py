"""Remove secrets from texts, in every encoding in which a server might repeat them."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"

# Real secrets have 30 characters; hiding shorter ones, as in tests, would remove parts of words.
_SHORTEST: Final = 6
# Temporary credentials change every hour: these are the secrets of several days.
_MOST_KEPT: Final = 512


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
    """The text with every occurrence of a secret, however encoded, replaced by MASK."""
    pattern = _pattern(frozenset(secret for secret in secrets if len(secret) >= _SHORTEST))
    return pattern.sub(MASK, text) if pattern is not None else text


@lru_cache(16)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    encodings = {encoding for secret in secrets for encoding in _encodings(secret)}
    # The longest first: one may be the beginning of another. Escapes match in either letter case.
    ordered = sorted(encodings, key=lambda encoding: (-len(encoding), encoding))
    return re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None


def _encodings(secret: str) -> Iterator[str]:
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
    yield from (text.rstrip("=") for text in in_base64)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # Only characters that do not depend on the bytes before and after.
            inner = encode(b"\0" * before + data).decode()[(0, 2, 3)[before] :]
            inner = inner.rstrip("=")[:-1] if inner.endswith("=") else inner
            if len(inner) >= _SHORTEST:
                yield inner
