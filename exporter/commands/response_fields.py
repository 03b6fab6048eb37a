"""The fields of a JSON response and the types of their values, without the values."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from exporter.safe_text import SPACES, printable, shortened
from exporter.vod.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_MOST_FIELDS: Final = 150
_DEEPEST: Final = 8
_LONGEST_VALUE: Final = 60
# A field name of the service; others may hold an ID or a title.
_NAME: Final = re.compile(r"(?![0-9a-fA-F]{16})[A-Za-z][A-Za-z0-9_.-]{0,40}", re.ASCII)
_TYPES: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number with decimals",
    dict: "object",
}
_TEXTS: Final = (
    (re.compile(r""), "empty text"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "text yyyy-MM-ddTHH:mm:ssZ"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ].*"), "text of another time format"),
    (re.compile(r"[0-9a-fA-F]{32}"), "text of 32 hexadecimal digits"),
    (re.compile(r"-?\d+(\.\d+)?"), "numeric text"),
    (re.compile(r"https?://.*", re.DOTALL), "URL"),
)


@dataclass(slots=True)
class ResponseField:
    """A field at one path: how often it was there, the types of its values, and one of them."""

    types: Counter[str] = field(default_factory=Counter)
    example: Any = None


@dataclass(slots=True)
class _Walk:
    fields: dict[str, ResponseField] = field(default_factory=dict)
    objects: Counter[str] = field(default_factory=Counter)

    def add(self, path: str, value: Any, depth: int) -> None:
        if depth > _DEEPEST:
            return
        if isinstance(value, dict):
            self.objects[path] += 1
            for name, each in value.items():
                below = f"{path}.{safe_name(name)}" if path else safe_name(name)
                if below not in self.fields and len(self.fields) >= _MOST_FIELDS:
                    continue
                found = self.fields.setdefault(below, ResponseField())
                found.types[type_of(each)] += 1
                if found.example in (None, ""):
                    found.example = each
                self.add(below, each, depth + 1)
        elif isinstance(value, list):
            for each in value:
                if not isinstance(each, dict | list):
                    self.fields.setdefault(f"{path}[]", ResponseField(example=each)).types[type_of(each)] += 1
                self.add(f"{path}[]", each, depth + 1)


def field_lines(
    document: dict[str, Any], *, values: bool = False, hide: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Path and types of each field; `values` appends one value, without the secrets in `hide`."""
    walk = _Walk()
    walk.add("", document, 0)
    for path, found in walk.fields.items():
        types = " or ".join(sorted(found.types))
        parent = path.rpartition(".")[0]
        if not path.endswith("[]") and found.types.total() < walk.objects[parent]:
            types += ", not always there"
        if values and not isinstance(found.example, dict | list):
            types += f", such as {shown_value(found.example, hide)}"
        yield path, types


def type_of(value: Any) -> str:
    """The type of a JSON value in words; of a text also its form."""
    if isinstance(value, str):
        return _text_type(value)
    if isinstance(value, list):
        return "list" if value else "empty list"
    return _TYPES[type(value)]


def shown_value(value: Any, hide: Collection[str] = ()) -> str:
    """A value as one short printable line without the secrets in `hide`; a URL also without its query."""
    if not isinstance(value, str):
        return json.dumps(value)
    text = value
    if text.lower().startswith(("http://", "https://")):
        # The query may hold a signature.
        text = text.partition("?")[0]
    return json.dumps(shortened(printable(redacted(text, hide), keep=SPACES), _LONGEST_VALUE), ensure_ascii=False)


def safe_name(name: str) -> str:
    """A field name if it can be one of the service's, else a placeholder."""
    return name if _NAME.fullmatch(name) else "<a name of another form>"


def _text_type(text: str) -> str:
    for form, name in _TEXTS:
        if form.fullmatch(text):
            return name
    if text[:1] in {"[", "{"}:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return "text"
        return "JSON text"
    return "text"
