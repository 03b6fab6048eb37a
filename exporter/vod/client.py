"""Calls for one account: rate-limited, stopped after authentication errors, and retried; for any API action."""

from __future__ import annotations

import asyncio
import os
import random as randomness
import time
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from exporter.errors import ErrorKind, RequestSkipped, RetryPolicy, UpstreamError
from exporter.vod.auth_breaker import AuthCircuitBreakers
from exporter.vod.exchange import Exchange
from exporter.vod.network_route import Resolver, parse_endpoint, route_to
from exporter.vod.rate_limits import LimitsMeter
from exporter.vod.redaction import Secrets
from exporter.vod.signing import new_nonce
from exporter.vod.transport import PooledTransport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

    import httpx

    from exporter.vod.actions import Action
    from exporter.vod.credentials.sources import Credentials, CredentialSource
    from exporter.vod.exchange import Call
    from exporter.vod.network_route import Resolve
    from exporter.vod.rate_limits import AccountLimits

ATTEMPTS: Final = 4
FIRST_BACK_OFF: Final = 0.5
LONGEST_BACK_OFF: Final = 30.0
"""Seconds; the upper limits of the first and the longest random back-off."""

T = TypeVar("T")


class Meter(LimitsMeter, Protocol):
    """Counts attempts and their outcomes, by account and action."""

    def request_sent(self, account: str, action: str) -> None:
        """An attempt was sent."""
        ...

    def request_failed(self, account: str, action: str, code: str, kind: ErrorKind) -> None:
        """An attempt failed."""
        ...

    def request_took(self, account: str, action: str, seconds: float) -> None:
        """An attempt ended, successfully or not, after this many seconds."""
        ...

    def retried(self, account: str, action: str) -> None:
        """An attempt will be retried."""
        ...


class Client:
    """Calls the API for one account, over its own connections; call `aclose` at the end.

    `timeout` is in seconds, for each attempt. `variables` define the proxy and the certificate authorities. All
    accounts share `secrets`, which are hidden in texts of servers, `resolve` for host names, and `tls` for the
    authorities. Raises StartError for an endpoint that is not `http(s)://host[:port]` and for invalid variables.
    """

    def __init__(
        self,
        account: str,
        *,
        endpoint: str,
        credentials: CredentialSource,
        limits: AccountLimits,
        timeout: float,
        meter: Meter,
        transport: httpx.AsyncBaseTransport | None = None,
        secrets: Secrets | None = None,
        resolve: Resolve | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
        variables: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = randomness.random,
        nonce: Callable[[], str] = new_nonce,
    ) -> None:
        self._account = account
        self._credentials = credentials
        self._limits = limits
        self._meter = meter
        self._monotonic = monotonic
        self._sleep = sleep
        self._random = random
        self._auth_breakers = AuthCircuitBreakers(account, now, monotonic)
        self._secrets = Secrets() if secrets is None else secrets
        url = parse_endpoint(account, endpoint)
        destination = url.netloc.decode()
        if transport is None:
            route = route_to(account, url, resolve or Resolver(), variables, tls)
            transport, destination = PooledTransport(route), str(route)
            if route.proxy is not None:
                self._secrets.add(*route.proxy.secrets)
        self._exchange = Exchange(
            url, transport, destination=destination, timeout=timeout, secrets=self._secrets, now=now, nonce=nonce
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

    async def keys_changed(self) -> bool:
        """Whether a file with credentials has changed since it was last checked."""
        return await self._credentials.changed()

    @property
    def max_in_flight(self) -> int:
        """How many calls may be in flight; further ones wait."""
        return self._limits.concurrency

    async def call(self, action: Action[T], parameters: Mapping[str, str]) -> T:
        """Call in RPC style (`POST /?parameters`, empty body), retry as the error says, and decode the response.

        Raises UpstreamError: NotReady if the day is not computed yet, RequestSkipped if nothing was sent.
        """
        call = self._exchange.prepare(action, parameters)
        credentials = await self._credentials.get()
        used: set[RetryPolicy] = set()
        attempt = 1
        while True:
            try:
                return await self._attempt(call, credentials, attempt)
            except RequestSkipped:
                raise
            except UpstreamError as error:
                if attempt == ATTEMPTS or error.retry is RetryPolicy.NEVER or error.retry in used:
                    if error.kind is ErrorKind.AUTH:
                        self._auth_breakers.open(action.name, credentials, error)
                    raise
                retry = error.retry
                wait = error.wait if error.wait is not None else self._backoff(attempt)
            if retry is not RetryPolicy.BACK_OFF:
                used.add(retry)
            self._meter.retried(self._account, action.name)
            await self._sleep(wait)
            attempt += 1
            renewed = retry is RetryPolicy.ONCE_RENEWED
            credentials = await (self._credentials.renew() if renewed else self._credentials.get())

    async def _attempt(self, call: Call[T], credentials: Credentials, attempt: int) -> T:
        """Make one attempt when the limits permit it, and count it; raises RequestSkipped uncounted."""
        action = call.action.name
        self._auth_breakers.check(action, credentials)
        async with self._limits.acquire(action) as permit, self._auth_breakers.admit(action, credentials):
            self._limits.spend()
            self._meter.request_sent(self._account, action)
            began = self._monotonic()
            self._secrets.add(credentials.access_key_secret, credentials.security_token)
            try:
                # A retry uses a new connection: what is wrong with one in the pool may be wrong with the others.
                decoded = await self._exchange.send(call, credentials, fresh=attempt > 1)
            except UpstreamError as error:
                self._meter.request_took(self._account, action, self._monotonic() - began)
                self._meter.request_failed(self._account, action, error.code, error.kind)
                self._limits.on_error(action, permit, error)
                raise
            self._meter.request_took(self._account, action, self._monotonic() - began)
            self._limits.on_success(action, permit)
            return decoded

    def _backoff(self, attempt: int) -> float:
        """Seconds with full jitter, so that calls that failed together are not retried together."""
        return self._random() * min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** (attempt - 1))
