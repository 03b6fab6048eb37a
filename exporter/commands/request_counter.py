"""Counts the requests that a client sends, for commands that report nothing else of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.errors import ErrorKind


class RequestCounter:
    """The meter of a client; `sent` counts its attempts."""

    def __init__(self) -> None:
        self.sent = 0

    def request_sent(self, account: str, action: str) -> None:  # noqa: ARG002 - the client's protocol
        """Count an attempt."""
        self.sent += 1

    def request_failed(self, account: str, action: str, code: str, kind: ErrorKind) -> None:
        """Not counted."""

    def request_took(self, account: str, action: str, seconds: float) -> None:
        """Not counted."""

    def retried(self, account: str, action: str) -> None:
        """Not counted."""

    def rate_changed(self, account: str, per_second: float) -> None:
        """Not counted."""

    def calls_remaining(self, account: str, calls: int | None) -> None:
        """Not counted."""
