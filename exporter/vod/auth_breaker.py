"""A circuit breaker for authentication errors: no requests until the credentials change or OPEN_SECONDS pass."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from exporter.errors import AccountPaused, ErrorKind, RequestSkipped, UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from exporter.vod.credentials.sources import Credentials

OPEN_SECONDS: Final = 300.0
"""Seconds that the breaker stays open; after that, one request probes whether the credentials are accepted."""


@dataclass(frozen=True, slots=True)
class _Rejection:
    """The rejected credentials and the error; `until` is monotonic, `until_text` is for messages."""

    credentials: Credentials
    error: UpstreamError
    until: float
    until_text: str


@dataclass(slots=True)
class AuthCircuitBreaker:
    """The breaker of one account; closed at first."""

    account: str
    now: Callable[[], float]
    monotonic: Callable[[], float]
    _rejection: _Rejection | None = field(default=None, init=False)
    _probing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def open(self, credentials: Credentials, error: UpstreamError) -> None:
        """Open the breaker because the service rejected these credentials."""
        until_text = datetime.fromtimestamp(self.now() + OPEN_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._rejection = _Rejection(credentials, error, self.monotonic() + OPEN_SECONDS, until_text)

    def check(self, credentials: Credentials) -> None:
        """Raise AccountPaused while the breaker is open for these credentials."""
        rejection = self._rejection
        if rejection is not None and rejection.credentials == credentials and self.monotonic() < rejection.until:
            error = rejection.error
            raise AccountPaused(
                f"account {self.account} is paused until {rejection.until_text} or until its credentials change, "
                f"after {error.code}: {error.message}",
                code=error.code,
                kind=error.kind,
                request_id=error.request_id,
                http_status=error.http_status,
                advice=error.advice,
                wait=rejection.until - self.monotonic(),
            )

    @asynccontextmanager
    async def admit(self, credentials: Credentials) -> AsyncIterator[None]:
        """Admit one request, sent within the block, or raise AccountPaused.

        When OPEN_SECONDS have passed, one request probes and the others wait for its outcome. Any response except an
        authentication error closes the breaker; without a response the next request probes.
        """
        self.check(credentials)
        if self._rejects(credentials):
            async with self._probing:
                self.check(credentials)
                if self._rejects(credentials):
                    with self._probe():
                        yield
                    return
        self._rejection = None
        yield

    def _rejects(self, credentials: Credentials) -> bool:
        return self._rejection is not None and self._rejection.credentials == credentials

    @contextmanager
    def _probe(self) -> Iterator[None]:
        try:
            yield
        except RequestSkipped:
            raise
        except UpstreamError as error:
            if error.http_status and error.kind is not ErrorKind.AUTH:
                self._rejection = None
            raise
        else:
            self._rejection = None
