"""Keeps equal texts of many responses in memory once: every day and filter has the same media IDs and titles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

Text = TypeVar("Text", bound=str | None)

MOST: Final = 200_000
"""How many texts are kept, those of 100,000 media: usually 30 MB if no row uses them any more."""


class RowOfTexts(Protocol):
    """A row of a response that may still be changed."""

    media_id: str
    title: str | None


class SharedTexts:
    """The texts of recent rows; all are forgotten when there are too many."""

    def __init__(self) -> None:
        self._texts: dict[Any, Any] = {}  # each is its own value

    def shared(self, text: Text) -> Text:
        """An equal text of an earlier row, or this one."""
        if len(self._texts) > MOST:
            self._texts.clear()
        kept: Text = self._texts.setdefault(text, text)
        return kept

    def share(self, rows: Iterable[RowOfTexts]) -> None:
        """Replace all texts of rows by shared ones: the same, in half the time."""
        if len(self._texts) > MOST:
            self._texts.clear()
        kept = self._texts.setdefault
        for row in rows:
            row.media_id, row.title = kept(row.media_id, row.media_id), kept(row.title, row.title)


SHARED_TEXTS: Final = SharedTexts()
"""Those of all accounts."""
