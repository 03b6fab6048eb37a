"""One request of `probe`, and its response or failure as plain data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from exporter.errors import ErrorKind, UpstreamError
from exporter.safe_text import printable
from exporter.vod.actions import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = "2017-03-21"


@dataclass(frozen=True, slots=True)
class ProbeResponse:
    """The outcome of a request after `seconds`: the parsed document, or why there is none."""

    document: dict[str, Any] = field(default_factory=dict)
    error: UpstreamError | None = None
    seconds: float = 0.0

    @property
    def outcome(self) -> str:
        """`answered`, or the error code and the HTTP status."""
        if self.error is None:
            return "answered"
        status = f" (HTTP {self.error.http_status})" if self.error.http_status else ""
        return f"{printable(self.error.code)}{status}"

    def or_error(self, text: str) -> str:
        """The text; of a request that failed, its outcome."""
        return self.outcome if self.error else text

    def rows(self, *path: str) -> list[dict[str, Any]]:
        """The objects in the list at that path; none if there is no such list."""
        value: Any = self.document
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


class Requester(Protocol):
    """Sends one request of an action."""

    async def __call__(self, parameters: Mapping[str, str]) -> ProbeResponse:
        """The response or the failure; raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the output: what was examined, and the result."""

    label: str
    text: str


def raw_action(name: str) -> Action[dict[str, Any]]:
    """An action whose decoded response is the JSON object as it is."""
    return Action(name, VERSION, f"vod:{name}", _decode)


def _decode(body: bytes, _parameters: Mapping[str, str]) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise UpstreamError("the response is not a JSON object", code="malformed", kind=ErrorKind.MALFORMED)
    if any(name.lower() == "code" for name in document):
        # The client finds the error in such a body.
        raise UpstreamError("the response is an error", code="malformed", kind=ErrorKind.MALFORMED)
    return document


def number(value: Any) -> float | None:
    """A value that is a number or the text of one; None for any other."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def order_of(values: list[Any]) -> str:
    """How values are sorted."""
    known = [value for value in values if isinstance(value, int | float | str) and not isinstance(value, bool)]
    if len(known) < len(values) or len({isinstance(value, str) for value in known}) > 1:
        return "not comparable"
    if len(set(known)) < 2:  # noqa: PLR2004 - nothing to compare
        return "fewer than two different values"
    if known == sorted(known):
        return "ascending"
    return "descending" if known == sorted(known, reverse=True) else "not sorted"


def repeated(first: list[Any], second: list[Any]) -> str:
    """How the rows of the same request differ when it is sent twice."""
    if first == second:
        return "the same rows in the same order" if first else "no rows twice"
    forms = [sorted(json.dumps(each, sort_keys=True) for each in rows) for rows in (first, second)]
    return "the same rows in another order" if forms[0] == forms[1] else "other rows or values"
