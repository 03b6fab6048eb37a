"""Error codes of the API as label values: bounded in number and in length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.safe_text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

# How many other error codes get their own label value, so that unknown codes cannot add series without limit.
MOST_CODES: Final = 50
_LONGEST_CODE: Final = 64


class ErrorCodeLabels:
    """Documented codes are label values as they are; of others the first MOST_CODES, and `other` for the rest."""

    def __init__(self) -> None:
        self._documented: set[str] = set()
        self._others: set[str] = set()

    def document(self, codes: Iterable[str]) -> None:
        """Add codes of an action's documentation."""
        self._documented.update(codes)

    def label(self, code: str) -> str:
        """The label value for a code; any text may be one."""
        if code in self._documented:
            return code
        safe = printable(code[:_LONGEST_CODE])
        if safe not in self._others:
            if not safe or len(self._others) >= MOST_CODES:
                return "other"
            self._others.add(safe)
        return safe
