"""Circuit breakers for authentication errors: no requests until the credentials change or OPEN_SECONDS pass."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from exporter.errors import AccountPaused, ErrorKind, ErrorScope, RequestSkipped, UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from exporter.vod.credentials.sources import Credentials

OPEN_SECONDS: Final = 300.0
"""Seconds that the breaker stays open; after that, one request probes whether the credentials are accepted."""


@dataclass(frozen=True, slots=True)
class _Rejection:
    """The rejected credentials and the error; `until` is monotonic."""

    credentials: Credentials
    error: UpstreamError
    until: float


@dataclass(slots=True)
class AuthCircuitBreaker:
    """The breaker of an account, or of one `action` of it; closed at first."""

    account: str
    now: Callable[[], float]
    monotonic: Callable[[], float]
    action: str | None = None
    _rejection: _Rejection | None = field(default=None, init=False)
    _probing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def open(self, credentials: Credentials, error: UpstreamError) -> None:
        """Open the breaker because the service rejected these credentials."""
        self._rejection = _Rejection(credentials, error, self.monotonic() + OPEN_SECONDS)

    def check(self, credentials: Credentials) -> None:
        """Raise AccountPaused while the breaker is open for these credentials."""
        rejection = self._rejection
        if rejection is None or rejection.credentials != credentials:
            return
        if (wait := rejection.until - self.monotonic()) > 0:
            error = rejection.error
            # By the present clock, which may have been set since the breaker opened.
            until = datetime.fromtimestamp(round(self.now() + wait), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            paused = f"account {self.account} is paused" + (f" for {self.action}" if self.action else "")
            raise AccountPaused(
                f"{paused} until {until} or until its credentials change, after {error.code}: {error.message}",
                code=error.code,
                kind=error.kind,
                request_id=error.request_id,
                http_status=error.http_status,
                advice=error.advice,
                wait=wait,
                scope=error.scope,
            )

    @asynccontextmanager
    async def admit(self, credentials: Credentials) -> AsyncIterator[None]:
        """Admit one request, sent within the block, or raise AccountPaused.

        When OPEN_SECONDS have passed, one request probes and the others wait for its outcome. Any response except an
        authentication error closes the breaker. A missing permission closes the breaker of the account, whose
        credentials were accepted. Without a response, the next request probes.
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
            accepted = error.kind is not ErrorKind.AUTH or (self.action is None and error.scope is ErrorScope.ACTION)
            if error.http_status and accepted:
                self._rejection = None
            raise
        else:
            self._rejection = None


class AuthCircuitBreakers:
    """The breakers of one account: one for its credentials, and one for each action, for missing permissions."""

    def __init__(self, account: str, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._of_account = AuthCircuitBreaker(account, now, monotonic)
        self._of_action = cache(lambda action: AuthCircuitBreaker(account, now, monotonic, action))

    def open(self, action: str, credentials: Credentials, error: UpstreamError) -> None:
        """Open the breaker that an authentication error of this action is about."""
        breaker = self._of_action(action) if error.scope is ErrorScope.ACTION else self._of_account
        breaker.open(credentials, error)

    def check(self, action: str, credentials: Credentials) -> None:
        """Raise AccountPaused while a breaker of this action is open for these credentials."""
        self._of_account.check(credentials)
        self._of_action(action).check(credentials)

    @asynccontextmanager
    async def admit(self, action: str, credentials: Credentials) -> AsyncIterator[None]:
        """Admit one request of this action, sent within the block, or raise AccountPaused."""
        # A request that the breaker of its action refuses must not become the account's probe.
        self.check(action, credentials)
        async with self._of_account.admit(credentials), self._of_action(action).admit(credentials):
            yield
