"""Which answers are copies of earlier ones, by the name that the service gives each request."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Final

_MOST_KEPT: Final = 4_096


@dataclass(slots=True)
class ReplayDetector:
    """Remembers the request IDs of the latest answers, with what was asked and over which connection."""

    _known: dict[str, tuple[bytes, weakref.ref[object] | None]] = field(default_factory=dict, init=False)

    def is_copy(self, request_id: str, question: bytes, connection: object | None) -> bool:
        """Whether an answer with this ID was the answer to another question, or came over this connection before.

        One without an ID cannot be told from any other. The same answer to the same question over another connection
        is what a cache gives: old, but true.
        """
        if not request_id:
            return False
        before = self._known.get(request_id)
        if before is not None:
            earlier = before[1]() if before[1] is not None else None
            return before[0] != question or (connection is not None and earlier is connection)
        self._known[request_id] = question, weakref.ref(connection) if connection is not None else None
        if len(self._known) > _MOST_KEPT:
            del self._known[next(iter(self._known))]
        return False
