"""The filter of SearchMedia, `Match`: its documented syntax and nothing else, or ErrorMatchSyntax.

Conditions are joined by `and`; alternatives by `or` within obligatory parentheses. `FIELD = 'text'`, `FIELD = 1`,
`FIELD in ('a','b')`, `FIELD = [FROM,TO)` where one side may be empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from exporter.simulator.error_responses import ApiError
from exporter.simulator.parameters import parse_time

if TYPE_CHECKING:
    from collections.abc import Collection

Kind = Literal["id", "number", "contains", "choice", "range", "time"]
KINDS: Final[dict[str, Kind]] = {
    "VideoId": "id",
    "CateId": "number",
    "Title": "contains",
    "Tags": "contains",
    "Description": "contains",
    "Status": "choice",
    "MediaSource": "choice",
    "PreprocessStatus": "choice",
    "AppId": "choice",
    "StorageLocation": "choice",
    "Size": "range",
    "Duration": "range",
    "CreationTime": "time",
    "ModificationTime": "time",
}
MOST_IDS: Final = 100

_TOKEN: Final = re.compile(
    r"(?P<string>'[^']*')|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<word>[A-Za-z]+)|(?P<sign>[()\[\],=])", re.ASCII
)
_SPACE: Final = re.compile(r"[ \t]*")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds, None where there is none, and whether each belongs to the range."""

    lower: float | None
    upper: float | None
    includes_lower: bool
    includes_upper: bool

    def holds(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        above = self.lower is None or value > self.lower or (self.includes_lower and value == self.lower)
        below = self.upper is None or value < self.upper or (self.includes_upper and value == self.upper)
        return above and below


@dataclass(frozen=True, slots=True)
class Condition:
    """A field, and the values or the range of which it must have one."""

    field: str
    kind: Kind
    values: tuple[str, ...] = ()
    range: Bounds | None = None


Alternatives = tuple[Condition, ...]


def parse_match(text: str) -> tuple[Alternatives, ...]:
    """The clauses of a filter: all must hold, each by any of its conditions; none if it is empty. Raises ApiError."""
    return _Parser(text).match() if text.strip() else ()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        position = 0
        while (position := _end_of_space(text, position)) < len(text):
            found = _TOKEN.match(text, position)
            if not found:
                raise _error(text[position : position + 1])
            self._tokens.append((found.lastgroup or "", found[0]))
            position = found.end()

    def match(self) -> tuple[Alternatives, ...]:
        clauses = [self._clause()]
        while self._at < len(self._tokens):
            self._keyword({"and"})
            clauses.append(self._clause())
        return tuple(clauses)

    def _clause(self) -> Alternatives:
        if not self._next_is("("):
            return (self._condition(),)
        self._take()
        conditions = [self._condition()]
        while not self._next_is(")"):
            self._keyword({"or"})
            conditions.append(self._condition())
        self._take()
        return tuple(conditions)

    def _condition(self) -> Condition:
        type_, field = self._take()
        kind = KINDS.get(field)
        if type_ != "word" or kind is None:
            raise _error(field)
        _, operator = self._take()
        if operator.lower() == "in" and kind in {"id", "contains", "choice"}:
            return Condition(field, kind, self._list(field))
        if operator != "=":
            raise _error(field)
        if kind in {"range", "time"}:
            return Condition(field, kind, range=self._range(field, kind))
        type_, value = self._take()
        if kind == "number":
            if type_ != "number" or "." in value:
                raise _error(field)
            return Condition(field, kind, (value,))
        if type_ != "string":
            raise _error(field)
        return Condition(field, kind, (value[1:-1],))

    def _list(self, field: str) -> tuple[str, ...]:
        values = []
        self._sign("(", field)
        while True:
            type_, value = self._take()
            if type_ != "string":
                raise _error(field)
            values.append(value[1:-1])
            if self._next_is(")"):
                break
            self._sign(",", field)
        self._take()
        if field == "VideoId" and len(values) > MOST_IDS:
            raise _error(field)
        return tuple(values)

    def _range(self, field: str, kind: Kind) -> Bounds:
        _, opening = self._take()
        if opening not in {"(", "["}:
            raise _error(field)
        lower = self._bound(field, kind)
        self._sign(",", field)
        upper = self._bound(field, kind)
        _, closing = self._take()
        if closing not in {")", "]"} or (lower is None and upper is None):
            raise _error(field)
        return Bounds(lower, upper, opening == "[", closing == "]")

    def _bound(self, field: str, kind: Kind) -> float | None:
        if any(self._next_is(sign) for sign in (",", ")", "]")):
            return None
        type_, text = self._take()
        value: float | None = None
        if kind == "time" and type_ == "string":
            value = parse_time(text[1:-1])
        elif kind == "range" and type_ == "number":
            value = float(text)
        if value is None:
            raise _error(field)
        return value

    def _next_is(self, sign: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign)

    def _take(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise _error(self._tokens[-1][1].strip("'"))
        self._at += 1
        return self._tokens[self._at - 1]

    def _sign(self, sign: str, field: str) -> None:
        if self._take() != ("sign", sign):
            raise _error(field)

    def _keyword(self, allowed: Collection[str]) -> None:
        type_, word = self._take()
        if type_ != "word" or word.lower() not in allowed:
            raise _error(word.strip("'"))


def _end_of_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _error(what: str) -> ApiError:
    return ApiError("ErrorMatchSyntax", what)
