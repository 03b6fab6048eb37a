"""A pause after an authentication error: nothing is sent until credentials change or some minutes pass."""

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
"""Seconds; then one request probes whether the credentials are accepted by now."""


@dataclass(frozen=True, slots=True)
class _Rejection:
    """What was refused and why; `until` on the monotonic clock, `until_text` for people."""

    credentials: Credentials
    error: UpstreamError
    until: float
    until_text: str


@dataclass(slots=True)
class AuthCircuitBreaker:
    """The pause of one account; not paused at first."""

    account: str
    now: Callable[[], float]
    monotonic: Callable[[], float]
    _rejection: _Rejection | None = field(default=None, init=False)
    _probing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def begin(self, credentials: Credentials, error: UpstreamError) -> None:
        """Pause because the service refused these credentials."""
        until_text = datetime.fromtimestamp(self.now() + OPEN_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._rejection = _Rejection(credentials, error, self.monotonic() + OPEN_SECONDS, until_text)

    def check(self, credentials: Credentials) -> None:
        """Raise AccountPaused if a request with these credentials would not be admitted now."""
        refused = self._rejection
        if refused is not None and refused.credentials == credentials and self.monotonic() < refused.until:
            error = refused.error
            raise AccountPaused(
                f"account {self.account} is paused until {refused.until_text} or until its credentials change, "
                f"after {error.code}: {error.message}",
                code=error.code,
                kind=error.kind,
                request_id=error.request_id,
                http_status=error.http_status,
                advice=error.advice,
                wait=refused.until - self.monotonic(),
            )

    @asynccontextmanager
    async def admitted(self, credentials: Credentials) -> AsyncIterator[None]:
        """Let a request through, or raise AccountPaused.

        After the time of a pause one request probes and the others wait for what becomes of it: any answer but an
        authentication error ends the pause; without an answer the next request probes.
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
