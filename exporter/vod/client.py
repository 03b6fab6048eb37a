"""One signed, limited, retried call of one account; knows no action of the API."""

from __future__ import annotations

import asyncio
import os
import random as randomness
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

import httpx

from exporter import __version__
from exporter.errors import ErrorKind, RequestSkipped, StartError, UpstreamError
from exporter.vod import error_codes, network_errors
from exporter.vod.auth_breaker import AuthCircuitBreaker
from exporter.vod.error_codes import RetryPolicy
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
    answer,
    no_response,
    replayed,
)
from exporter.vod.signing import Acs3Auth, canonical_query, new_nonce
from exporter.vod.tls_trust import tls_context
from exporter.vod.transport import FRESH, PooledTransport, TransportSender

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

    from exporter.vod.credentials.sources import Credentials, CredentialSource
    from exporter.vod.network_route import Resolve
    from exporter.vod.rate_limits import AccountLimits

ATTEMPTS: Final = 4
FIRST_BACK_OFF: Final = 0.5
LONGEST_BACK_OFF: Final = 30.0
"""Seconds; the first and the longest range that a back-off is drawn from."""

_URLS: Final = 1_024

_HEADERS: Final = {
    "user-agent": f"aliyun-vod-exporter/{__version__}",
    "accept": "application/json",
    "accept-encoding": "gzip",
}

T = TypeVar("T")


class Meter(LimitsMeter, Protocol):
    """Who counts what is sent and what becomes of it."""

    def request_sent(self, account: str) -> None:
        """One attempt is sent."""
        ...

    def request_failed(self, account: str, code: str, kind: ErrorKind) -> None:
        """One attempt failed."""
        ...

    def request_took(self, account: str, seconds: float) -> None:
        """One attempt ended, well or not."""
        ...

    def retried(self, account: str) -> None:
        """One attempt is to be repeated."""
        ...


class Client:
    """Asks the service on behalf of one account, over connections of its own; an async context manager.

    Proxy and certificate authorities are those of `variables`. `secrets` are hidden in what a server says, `resolve`
    looks up names, and `tls` gives the authorities; all accounts share these. Raises StartError for an endpoint that
    is not `http(s)://host[:port]`, and for variables that cannot be used.
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
        self._auth_breaker = AuthCircuitBreaker(account, now, monotonic)
        self._secrets = Secrets() if secrets is None else secrets
        self._replay_detector = ReplayDetector()
        if transport is None:
            route = _route(account, self._endpoint, resolve or Resolver(), variables, tls)
            transport, self._place = PooledTransport(route), str(route)
            if route.proxy is not None:
                self._secrets.add(*route.proxy.secrets)
        else:
            self._place = self._endpoint.netloc.decode()
        self._http = TransportSender(transport)
        # A day is asked about with the same words all day long; to parse a URL takes as long as to sign it.
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
        """Whether a file with credentials has changed, so that what was refused may be accepted."""
        return await self._credentials.changed()

    @property
    def max_in_flight(self) -> int:
        """How many calls may be under way at once; more wait for their turn."""
        return self._limits.concurrency

    async def call(self, action: str, version: str, parameters: Mapping[str, str], decode: Callable[[bytes], T]) -> T:
        """Ask in RPC style (`POST /?parameters`, empty body), again where that helps, and decode the answer.

        `decode` raises UpstreamError for a body it cannot read. Raises UpstreamError: NotReady, and NotAsked where
        nothing was sent.
        """
        url = self._url(_query(parameters))
        headers = {**_HEADERS, "x-acs-action": action, "x-acs-version": version}
        credentials = await self._credentials.get()
        used: set[RetryPolicy] = set()
        attempt = 1
        while True:
            # Repeated over a new connection: what is wrong with one that is kept may be wrong with the others.
            request = httpx.Request("POST", url, headers=headers, extensions={FRESH: attempt > 1})
            try:
                return await self._attempt(request, credentials, decode)
            except RequestSkipped:
                raise
            except UpstreamError as error:
                repeat = error_codes.classify(error.http_status, error.code, error.message).repeat
                if attempt == ATTEMPTS or repeat is RetryPolicy.NEVER or repeat in used:
                    if error.kind is ErrorKind.AUTH:
                        self._auth_breaker.open(credentials, error)
                    raise
                wait = error.wait if error.wait is not None else self._backoff(attempt)
            if repeat is not RetryPolicy.BACK_OFF:
                used.add(repeat)
            self._meter.retried(self._account)
            await self._sleep(wait)
            attempt += 1
            renewed = repeat is RetryPolicy.ONCE_RENEWED
            credentials = await (self._credentials.renew() if renewed else self._credentials.get())

    async def _attempt(self, request: httpx.Request, credentials: Credentials, decode: Callable[[bytes], T]) -> T:
        """One attempt in its turn, counted; refused without being counted while the account is paused."""
        self._auth_breaker.check(credentials)
        async with self._limits.turn() as turn, self._auth_breaker.admit(credentials):
            self._limits.spend()
            self._meter.request_sent(self._account)
            began = self._monotonic()
            self._secrets.add(credentials.access_key_secret, credentials.security_token)
            try:
                decoded = await self._exchange(request, credentials, decode)
            except UpstreamError as error:
                self._meter.request_took(self._account, self._monotonic() - began)
                self._meter.request_failed(self._account, error.code, error.kind)
                self._limits.on_error(turn, throttled=error.kind is ErrorKind.THROTTLED, wait=error.wait)
                raise
            self._meter.request_took(self._account, self._monotonic() - began)
            self._limits.on_success(turn)
            return decoded

    async def _exchange(self, request: httpx.Request, credentials: Credentials, decode: Callable[[bytes], T]) -> T:
        """Send, and receive the whole answer, within the timeout; every failure of the network as an UpstreamError."""
        auth = Acs3Auth(credentials, now=self._now, nonce=self._nonce)
        progress = request.extensions["progress"] = Progress()
        try:
            # One for all: limits of single steps would begin again with every byte that trickles in.
            async with asyncio.timeout(self._timeout):
                response = await self._http.send(request, auth=auth)
                try:
                    return self._decoded(request, response, await _receive(response), decode)
                except UpstreamError:
                    # Only after a good answer is it certain that what comes next answers what is asked next.
                    response.extensions.get("discard", lambda: None)()
                    raise
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            message = (
                f"no complete answer from {self._place} within {self._timeout:g} s: waited for {progress.waiting_for}"
            )
            raise no_response(error_codes.TIMEOUT, message, self._secrets) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            failure = error if isinstance(error, network_errors.NetworkError) else network_errors.of_httpx(error)
            message = f"no answer from {self._place}: {failure.message}"
            # The chain would show what was about to be sent.
            raise no_response(failure.code, message, self._secrets, advice=failure.advice) from None

    def _decoded(
        self, request: httpx.Request, response: httpx.Response, reply: RawResponse, decode: Callable[[bytes], T]
    ) -> T:
        decoded = answer(reply, decode, now=self._now(), hide=self._secrets)
        connection = response.extensions.get("connection")
        if self._replay_detector.is_copy(reply.request_id, request.url.query, connection):
            raise replayed(reply, self._secrets)
        return decoded

    def _backoff(self, attempt: int) -> float:
        """Seconds: full jitter, so that callers that failed together do not come back together."""
        return self._random() * min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** (attempt - 1))


async def _receive(response: httpx.Response) -> RawResponse:
    """The reply with its decoded body, unless that is too large or cannot be decompressed."""
    if unreadable := _readable_encoding(response.headers):
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


def _readable_encoding(headers: httpx.Headers) -> str:
    """Write the old names of an encoding as httpx knows them; says why the body cannot be read, or nothing."""
    given = [word.strip().lower() for word in headers.get("content-encoding", "").split(",")]
    words = [word.removeprefix("x-") for word in given if word not in ("", "identity")]
    if any(word not in ("gzip", "deflate") for word in words):
        return "the answer is encoded in another way than was asked for (gzip)"
    if words:
        headers["content-encoding"] = ", ".join(words)
    return ""


def _query(parameters: Mapping[str, str]) -> bytes:
    """Encoded here as it is signed, so that no server can read a `+` as anything else."""
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
    # The text is not shown: it may hold a password.
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
