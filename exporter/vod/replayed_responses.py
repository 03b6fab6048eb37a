"""Detect replayed responses by the request ID that the service gives each request."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Final

_MOST_KEPT: Final = 4_096


@dataclass(slots=True)
class ReplayDetector:
    """Remembers the request IDs of the latest responses, with their calls and connections."""

    _known: dict[str, tuple[bytes, weakref.ref[object] | None]] = field(default_factory=dict, init=False)

    def is_copy(self, request_id: str, call: bytes, connection: object | None) -> bool:
        """Whether this ID was already used for another call, or for the same call on this connection.

        `call` is the action and its parameters. A response without an ID is never a copy. The same response to the same
        call over another connection comes from a cache: it is old but correct.
        """
        if not request_id:
            return False
        before = self._known.get(request_id)
        if before is not None:
            earlier = before[1]() if before[1] is not None else None
            return before[0] != call or (connection is not None and earlier is connection)
        self._known[request_id] = call, weakref.ref(connection) if connection is not None else None
        if len(self._known) > _MOST_KEPT:
            del self._known[next(iter(self._known))]
        return False
