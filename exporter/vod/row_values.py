"""Decode the values of a row: JSON → number, title or media ID, or the reason why the value is unusable."""

from __future__ import annotations

import contextlib
import math
import re
from typing import Final

import msgspec

from exporter.vod.json_repair import with_text_repaired

LARGEST_NUMBER: Final = 2**53
"""No genuine count or duration is larger, and floating-point samples are exact up to here."""
LONGEST_ID: Final = 128
LONGEST_TITLE: Final = 128
"""Characters; the service allows 128 bytes (Alibaba Cloud's page of upload limits)."""

_LONGEST_NUMBER: Final = 400
# A number as in JSON, but also with a plus sign or leading zeros.
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,309}(\.[0-9]{1,309})?([eE][+-]?[0-9]{1,4})?")
_DAMAGE: Final = re.compile("[\x00-\x1f\x7f-\x9f\N{REPLACEMENT CHARACTER}]")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_LITERAL: Final = b"-0123456789"
_NUMBER_DECODER: Final = msgspec.json.Decoder(int | float | str)
_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"


def number(value: bytes) -> tuple[int | float | None, str]:
    """A number from 0, as JSON number or string; None if it is absent, and None with a reason if it is unusable."""
    if value == b"null":
        return None, ""
    found: int | float | None = None
    with contextlib.suppress(ValueError):
        found = _decoded(value)
    if found is None:
        # A JSON number that does not decode is one that no float can hold.
        return None, "too large" if value[:1] in _LITERAL else "not a number"
    reason = "negative" if found < 0 else "too large" if found > LARGEST_NUMBER else ""
    return (None, reason) if reason else (abs(found), "")  # -0.0 is 0


def count(value: bytes, field: str) -> int | None:
    """A number of rows or of a page; None if it is absent. Raises ValueError."""
    if value == b"null":
        return None
    try:
        found = _decoded(value)
    except msgspec.DecodeError as error:
        raise ValueError(f"{field} is not a number") from error
    except ValueError as error:
        raise ValueError(f"{field} {error}") from error
    # Also false for NaN.
    if not -math.inf < found < math.inf:
        raise ValueError(f"{field} is not a finite number")
    if found > LARGEST_NUMBER:
        raise ValueError(f"{field} is larger than any count")
    if found < 0 or found != math.floor(found):
        raise ValueError(f"{field} is {found!r:.40}, not a whole number from 0")
    return int(found)


def media_id(value: bytes) -> str | None:
    """A media ID; None if it is absent, damaged or too long."""
    found = text(value)
    return found if found and len(found) <= LONGEST_ID and not is_damaged(found) else None


def is_damaged(media_id: str) -> bool:
    """Whether an ID contains what no ID does: a part of an ID may be the ID of another video."""
    return _DAMAGE.search(media_id) is not None


def title(value: bytes) -> tuple[str | None, str]:
    """A title of at most 128 characters, or None, with the reason if the given one is not used unchanged."""
    if value == b"null":
        return None, ""
    if value[:1] != b'"':
        digits, reason = number(value)
        return (None, "not a text") if reason else (str(digits), "")
    found = text(value) or ""
    if len(found) > LONGEST_TITLE:
        return _CONTROL.sub(" ", found[: LONGEST_TITLE - 1]) + _ELLIPSIS, "too long"
    clean = _CONTROL.sub(" ", found)
    return clean, "" if clean == found else "control characters"


def text(value: bytes) -> str | None:
    """A JSON string with lone surrogates replaced; None for any other value."""
    if value[:1] != b'"':
        return None
    try:
        return msgspec.json.decode(value, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(with_text_repaired(value), type=str)


def is_clean(given: str | None) -> bool:
    """Whether a title has no control characters other than tabs and line breaks."""
    return given is None or given.isprintable() or _CONTROL.search(given) is None


def _decoded(value: bytes) -> int | float:
    """A JSON number, or a string with one. Raises ValueError, the base of msgspec's own errors."""
    given: int | float | str = _NUMBER_DECODER.decode(value) if len(value) <= _LONGEST_NUMBER else ""
    if not isinstance(given, str):
        return given
    if not _DECIMAL.fullmatch(given):
        raise ValueError(f"is {given!a:.40}, not a number")
    return float(given) if any(mark in given for mark in ".eE") else int(given)
