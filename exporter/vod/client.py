"""Signed, rate-limited and retried calls for one account; independent of the API action."""

from __future__ import annotations

import asyncio
import os
import random as randomness
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Generic, Protocol, Self, TypeVar

import httpx

from exporter import __version__
from exporter.errors import ErrorKind, RequestSkipped, RetryPolicy, StartError, UpstreamError
from exporter.vod import error_codes, network_errors
from exporter.vod.auth_breaker import AuthCircuitBreakers
from exporter.vod.network_route import Progress, Route
from exporter.vod.proxies import DEFAULT_PORTS, proxy_for
from exporter.vod.rate_limits import LimitsMeter
from exporter.vod.redaction import Secrets
from exporter.vod.replayed_responses import ReplayDetector
from exporter.vod.resolver import Resolver
from exporter.vod.responses import (
    LARGEST_ERROR,
    LARGEST_RESPONSE,
    RawResponse,
    decode_response,
    no_response,
    replayed,
)
from exporter.vod.signing import Acs3Auth, canonical_query, new_nonce
from exporter.vod.tls_trust import tls_context
from exporter.vod.transport import FRESH, PooledTransport, TransportSender

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

    from exporter.vod.actions import Action
    from exporter.vod.credentials.sources import Credentials, CredentialSource
    from exporter.vod.network_route import Resolve
    from exporter.vod.rate_limits import AccountLimits

ATTEMPTS: Final = 4
FIRST_BACK_OFF: Final = 0.5
LONGEST_BACK_OFF: Final = 30.0
"""Seconds; the upper limits of the first and the longest random back-off."""

_URLS: Final = 1_024

_HEADERS: Final = {
    "user-agent": f"aliyun-vod-exporter/{__version__}",
    "accept": "application/json",
    "accept-encoding": "gzip",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """An action with its parameters; each attempt sends a request of its own."""

    action: Action[T]
    parameters: Mapping[str, str]
    url: httpx.URL

    @property
    def identity(self) -> bytes:
        """What the response depends on."""
        return self.action.name.encode() + b"?" + self.url.query

    def request(self, *, fresh: bool) -> httpx.Request:
        """The unsigned request; `fresh` demands a new connection."""
        headers = {**_HEADERS, "x-acs-action": self.action.name, "x-acs-version": self.action.version}
        return httpx.Request("POST", self.url, headers=headers, extensions={FRESH: fresh})


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
    """Calls the API for one account, over its own connections; an async context manager that closes them.

    `variables` define the proxy and the certificate authorities. All accounts share `secrets`, which are hidden in
    texts of servers, `resolve` for host names, and `tls` for the authorities. Raises StartError for an endpoint that
    is not `http(s)://host[:port]` and for invalid variables.
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
        self._endpoint = _endpoint(account, endpoint)
        self._credentials = credentials
        self._limits = limits
        self._timeout = timeout
        self._meter = meter
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._random = random
        self._nonce = nonce
        self._auth_breakers = AuthCircuitBreakers(account, now, monotonic)
        self._secrets = Secrets() if secrets is None else secrets
        self._replay_detector = ReplayDetector()
        if transport is None:
            route = _route(account, self._endpoint, resolve or Resolver(), variables, tls)
            transport, self._destination = PooledTransport(route), str(route)
            if route.proxy is not None:
                self._secrets.add(*route.proxy.secrets)
        else:
            self._destination = self._endpoint.netloc.decode()
        self._http = TransportSender(transport)
        # The same queries recur all day, and parsing a URL takes as long as signing it.
        self._url = lru_cache(_URLS)(lambda query: self._endpoint.copy_with(query=query))

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

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
        call = _Call(action, parameters, self._url(_query(parameters)))
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

    async def _attempt(self, call: _Call[T], credentials: Credentials, attempt: int) -> T:
        """Make one attempt when the limits permit it, and count it; raises RequestSkipped uncounted."""
        action = call.action.name
        self._auth_breakers.check(action, credentials)
        async with self._limits.turn(action) as turn, self._auth_breakers.admit(action, credentials):
            self._limits.spend()
            self._meter.request_sent(self._account, action)
            began = self._monotonic()
            self._secrets.add(credentials.access_key_secret, credentials.security_token)
            try:
                decoded = await self._exchange(call, credentials, attempt)
            except UpstreamError as error:
                self._meter.request_took(self._account, action, self._monotonic() - began)
                self._meter.request_failed(self._account, action, error.code, error.kind)
                self._limits.on_error(action, turn, error)
                raise
            self._meter.request_took(self._account, action, self._monotonic() - began)
            self._limits.on_success(action, turn)
            return decoded

    async def _exchange(self, call: _Call[T], credentials: Credentials, attempt: int) -> T:
        """Send, receive and decode within the timeout; raises UpstreamError, also for failures of the network."""
        # A retry uses a new connection: what is wrong with one in the pool may be wrong with the others.
        request = call.request(fresh=attempt > 1)
        auth = Acs3Auth(credentials, now=self._now, nonce=self._nonce)
        progress = request.extensions["progress"] = Progress()
        try:
            # One timeout for the whole exchange: timeouts of single steps would restart with every byte received.
            async with asyncio.timeout(self._timeout):
                response = await self._http.send(request, auth=auth)
                try:
                    return self._decode(call, await _receive(response), response.extensions.get("connection"))
                except UpstreamError:
                    # After an error it is uncertain to which request the next response on this connection belongs.
                    response.extensions.get("discard", lambda: None)()
                    raise
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            limit = f"within {self._timeout:g} s"
            message = f"no complete answer from {self._destination} {limit}: waited for {progress.waiting_for}"
            raise no_response(error_codes.TIMEOUT, message, self._secrets) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            failure = error if isinstance(error, network_errors.NetworkError) else network_errors.of_httpx(error)
            message = f"no answer from {self._destination}: {failure.message}"
            # The exception chain could show the request with its secrets.
            raise no_response(failure.code, message, self._secrets, advice=failure.advice) from None

    def _decode(self, call: _Call[T], response: RawResponse, connection: object | None) -> T:
        decoded = decode_response(response, call.action, call.parameters, now=self._now(), hide=self._secrets)
        if self._replay_detector.is_copy(response.request_id, call.identity, connection):
            raise replayed(response, self._secrets)
        return decoded

    def _backoff(self, attempt: int) -> float:
        """Seconds with full jitter, so that calls that failed together are not retried together."""
        return self._random() * min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** (attempt - 1))


async def _receive(response: httpx.Response) -> RawResponse:
    """Receive the body, decompressed; without it if it is too large or cannot be decompressed."""
    if unreadable := _normalize_encoding(response.headers):
        return RawResponse(response.status_code, response.headers, b"", unreadable)
    body = bytearray()
    largest = LARGEST_RESPONSE if response.is_success else LARGEST_ERROR
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > largest:
                unreadable = f"the answer is longer than {largest} bytes"
                break
    except httpx.DecodingError:
        unreadable = "the answer cannot be decompressed"
    return RawResponse(response.status_code, response.headers, b"" if unreadable else bytes(body), unreadable)


def _normalize_encoding(headers: httpx.Headers) -> str:
    """Replace old names of encodings by those that httpx knows; the reason why the body is unreadable, or empty."""
    given = [word.strip().lower() for word in headers.get("content-encoding", "").split(",")]
    words = [word.removeprefix("x-") for word in given if word not in ("", "identity")]
    if any(word not in ("gzip", "deflate") for word in words):
        return "the answer is encoded in another way than was asked for (gzip)"
    if words:
        headers["content-encoding"] = ", ".join(words)
    return ""


def _query(parameters: Mapping[str, str]) -> bytes:
    """The query string exactly as it is signed, so that no server can interpret a `+` differently."""
    try:
        return canonical_query(parameters.items()).encode("ascii")
    except UnicodeEncodeError as error:
        raise UpstreamError(
            "a parameter holds half a character (a lone surrogate), which cannot be sent",
            code="parameter",
            kind=ErrorKind.PARAMETER,
            advice="Write the media ID again in the configuration file.",
        ) from error


def _endpoint(account: str, text: str) -> httpx.URL:
    with suppress(httpx.InvalidURL, UnicodeError):
        url = httpx.URL(text)
        bare = not url.userinfo and url.raw_path == b"/" and "#" not in text
        if bare and url.scheme in ("http", "https") and url.host and (url.port is None or url.port in range(1, 65536)):
            return url.copy_with(path="/")
    # The text is not shown: it may contain a password.
    raise StartError(f"account {account}: the endpoint is not a URL like https://vod.cn-shanghai.aliyuncs.com")


def _route(
    account: str,
    endpoint: httpx.URL,
    resolve: Resolve,
    variables: Mapping[str, str],
    tls: Callable[[], ssl.SSLContext] | None,
) -> Route:
    scheme, host = endpoint.scheme, endpoint.raw_host.decode("ascii")
    port = endpoint.port or DEFAULT_PORTS[scheme]
    try:
        proxy = proxy_for(scheme, host, port, variables)
        is_encrypted = scheme == "https" or (proxy is not None and proxy.scheme == "https")
        context = (tls() if tls else tls_context(variables)) if is_encrypted else None
        return Route(scheme, host, port, proxy, context, resolve)
    except StartError as error:
        raise StartError(f"account {account}: {error}") from None
