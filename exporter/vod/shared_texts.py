"""Keeps equal texts of many responses in memory once: every day and filter has the same media IDs and titles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MOST: Final = 200_000
"""How many texts are kept, those of 100,000 media: usually 30 MB if no row uses them any more."""


class Row(Protocol):
    """A row of a response that may still be changed."""

    media_id: str
    title: str | None


class SharedTexts:
    """The texts of recent rows; all are forgotten when there are too many."""

    def __init__(self) -> None:
        self._texts: dict[str | None, str | None] = {}

    def share(self, rows: Iterable[Row]) -> None:
        """Replace texts of rows by equal ones of earlier rows."""
        if len(self._texts) > MOST:
            self._texts.clear()
        kept: Any = self._texts.setdefault
        for row in rows:
            row.media_id, row.title = kept(row.media_id, row.media_id), kept(row.title, row.title)


SHARED_TEXTS: Final = SharedTexts()
"""Those of all accounts."""
