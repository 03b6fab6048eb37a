"""One signed, limited, retried call of one account; knows no action of the API."""

from __future__ import annotations

import asyncio
import random as randomness
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar
from urllib.request import getproxies

import httpx

from exporter import __version__
from exporter.errors import Kind, NotAsked, StartError, UpstreamError
from exporter.vod import codes
from exporter.vod.codes import Repeat
from exporter.vod.limits import LimitsMeter
from exporter.vod.pause import Pause
from exporter.vod.replies import LARGEST_ANSWER, LARGEST_ERROR, Reply, answer, no_reply
from exporter.vod.signing import Acs3Auth, canonical_query, new_nonce
from exporter.vod.transport import Connections, Direct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from exporter.vod.credentials import Credentials, CredentialSource
    from exporter.vod.limits import Limits

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

    def request_failed(self, account: str, code: str, kind: Kind) -> None:
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

    Raises StartError for an endpoint that is not `http(s)://host[:port]` and for proxy or certificate settings of the
    environment that cannot be used.
    """

    def __init__(
        self,
        account: str,
        *,
        endpoint: str,
        credentials: CredentialSource,
        limits: Limits,
        timeout: float,
        meter: Meter,
        transport: httpx.AsyncBaseTransport | None = None,
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
        self._pause = Pause(account, now, monotonic)
        self._http = _http(account, self._endpoint, timeout, transport)
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
    def at_once(self) -> int:
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
        used: set[Repeat] = set()
        attempt = 1
        while True:
            request = httpx.Request("POST", url, headers=headers)
            try:
                return await self._attempt(request, credentials, decode)
            except NotAsked:
                raise
            except UpstreamError as error:
                repeat = codes.classify(error.http_status, error.code).repeat
                if attempt == ATTEMPTS or repeat is Repeat.NEVER or repeat in used:
                    if error.kind is Kind.AUTH:
                        self._pause.begin(credentials, error)
                    raise
                wait = error.wait if error.wait is not None else self._back_off(attempt)
            if repeat is not Repeat.BACK_OFF:
                used.add(repeat)
            self._meter.retried(self._account)
            await self._sleep(wait)
            attempt += 1
            renewed = repeat is Repeat.ONCE_RENEWED
            credentials = await (self._credentials.renew() if renewed else self._credentials.get())

    async def _attempt(self, request: httpx.Request, credentials: Credentials, decode: Callable[[bytes], T]) -> T:
        """One attempt in its turn, counted; refused without being counted while the account is paused."""
        self._pause.check(credentials)
        async with self._limits.turn() as turn, self._pause.admitted(credentials):
            self._limits.spend()
            self._meter.request_sent(self._account)
            began = self._monotonic()
            hide = [text for text in (credentials.access_key_secret, credentials.security_token) if text]
            try:
                reply = await self._exchange(request, credentials, hide)
                decoded = answer(reply, decode, now=self._now(), hide=hide)
            except UpstreamError as error:
                self._meter.request_took(self._account, self._monotonic() - began)
                self._meter.request_failed(self._account, error.code, error.kind)
                self._limits.failed(turn, throttled=error.kind is Kind.THROTTLED, wait=error.wait)
                raise
            self._meter.request_took(self._account, self._monotonic() - began)
            self._limits.succeeded(turn)
            return decoded

    async def _exchange(self, request: httpx.Request, credentials: Credentials, hide: list[str]) -> Reply:
        """Send, and receive the whole reply, within the timeout; every failure of the network as an UpstreamError."""
        auth = Acs3Auth(credentials, now=self._now, nonce=self._nonce)
        try:
            # httpx's own timeouts begin again with every byte: a reply that trickles in would never end.
            async with asyncio.timeout(self._timeout):
                response = await self._http.send(request, auth=auth, stream=True)
                try:
                    return await _receive(response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException) as error:
            raise no_reply(codes.TIMEOUT, f"no complete answer within {self._timeout:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            reason = str(error) or type(error).__name__
            # The chain would show what httpx was about to send.
            raise no_reply(codes.CONNECT, f"no answer from {self._endpoint.netloc.decode()}: {reason}", hide) from None

    def _back_off(self, attempt: int) -> float:
        """Seconds: full jitter, so that callers that failed together do not come back together."""
        return self._random() * min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** (attempt - 1))


async def _receive(response: httpx.Response) -> Reply:
    """The reply with its decoded body, unless that is too large or cannot be decompressed."""
    body = bytearray()
    unreadable = ""
    largest = LARGEST_ANSWER if response.is_success else LARGEST_ERROR
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > largest:
                unreadable = f"the answer is longer than {largest} bytes"
                break
    except httpx.DecodingError as error:
        unreadable = f"the answer cannot be decompressed: {error}"
    return Reply(response.status_code, response.headers, b"" if unreadable else bytes(body), unreadable)


def _query(parameters: Mapping[str, str]) -> bytes:
    """Encoded here as it is signed, so that no server can read a `+` as anything else."""
    try:
        return canonical_query(parameters.items()).encode("ascii")
    except UnicodeEncodeError as error:
        raise UpstreamError(
            "a parameter holds half a character (a lone surrogate), which cannot be sent",
            code="parameter",
            kind=Kind.PARAMETER,
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


def _http(
    account: str, endpoint: httpx.URL, timeout: float, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient | Direct:
    try:
        if transport is not None or not _may_be_proxied(endpoint):
            return Direct(transport or Connections(httpx.create_ssl_context()))
        # What goes through which proxy, and what through none, is httpx's to say; all of it goes over its connections.
        # The account's limits bound what is sent at once; a second bound could only time out.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        return httpx.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False)
    except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
        raise StartError(
            f"account {account}: the proxy or certificate settings of the environment cannot be used: {error}"
        ) from error


def _may_be_proxied(endpoint: httpx.URL) -> bool:
    """Whether the environment names a proxy. As in Go, none is ever asked for this machine itself."""
    return not _is_loopback(endpoint.host) and not getproxies().keys().isdisjoint(("http", "https", "all"))


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
