"""ASGI middleware before every route: rate limit, password, and the response headers of the web configuration."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from exporter.web.access.basic_auth import AuthResult, BasicAuth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from exporter.web.access.policy import WebPolicy
    from exporter.web.access.settings import RateLimit, WebSettings

# Probes of an orchestrator have no password, and a rate limit that others exhaust must not make the exporter unhealthy.
OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})
# The default headers of every response; the web configuration overrides them.
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:;"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
_NO_HEADERS: Final[Mapping[str, str]] = {}
_CHALLENGE: Final = 'Basic realm="aliyun-vod-exporter", charset="UTF-8"'


class TokenBucket:
    """Allows `burst` requests, and one more every `interval` seconds."""

    def __init__(self, interval: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval
        self._burst = burst
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._refilled_at = monotonic()

    def take(self) -> bool:
        """Take a token; return whether there was one."""
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) / self._interval)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def with_access_control(
    app: ASGIApp,
    policy: Callable[[], Awaitable[WebPolicy]],
    *,
    prefix: str = "",
    basic_auth: BasicAuth | None = None,
) -> ASGIApp:
    """Wrap an application whose paths begin with `prefix`; every request is checked against the current `policy`."""
    open_paths = frozenset(f"{prefix}{path}" for path in OPEN_PATHS)
    return _AccessControl(app, policy, open_paths, basic_auth or BasicAuth()).handle


class _AccessControl:
    def __init__(
        self,
        app: ASGIApp,
        policy: Callable[[], Awaitable[WebPolicy]],
        open_paths: frozenset[str],
        basic_auth: BasicAuth,
    ) -> None:
        self._app = app
        self._policy = policy
        self._open_paths = open_paths
        self._basic_auth = basic_auth
        self._limit: RateLimit | None = None
        self._bucket: TokenBucket | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = (await self._policy()).settings

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _set(MutableHeaders(scope=message), settings.headers)
            await send(message)

        app = self._app if scope["path"] in self._open_paths else (await self._check(scope, settings) or self._app)
        await app(scope, receive, with_headers)

    async def _check(self, scope: Scope, settings: WebSettings) -> ASGIApp | None:
        limit = settings.rate_limit
        if limit != self._limit:
            self._limit = limit
            self._bucket = TokenBucket(limit.interval, limit.burst) if limit else None
        if limit and self._bucket and not self._bucket.take():
            return reject(429, "Too many requests.", {"Retry-After": str(math.ceil(limit.interval))})
        if not settings.users:
            return None
        authorization = Headers(scope=scope).get("authorization")
        address, _ = scope.get("client") or ("", 0)
        # A scraper sends the same headers each time, and other programs seldom the same as it.
        program = hash(tuple(header for header in scope["headers"] if header[0] != b"authorization"))
        result = await self._basic_auth.check(settings.users, authorization, address, program)
        if result is AuthResult.BUSY:
            return reject(503, "Too many passwords are being checked.", {"Retry-After": "1"})
        if result is AuthResult.REFUSED:
            return reject(401, "Unauthorized: a user name and password are needed.", {"WWW-Authenticate": _CHALLENGE})
        return None


def reject(status: int, text: str, headers: Mapping[str, str] = _NO_HEADERS) -> PlainTextResponse:
    """The response to a request that no route sees."""
    return PlainTextResponse(f"{text}\n", status_code=status, headers={**HEADERS, **headers})


def _set(headers: MutableHeaders, wanted: Mapping[str, str]) -> None:
    """Override headers by those of the web configuration; an empty value removes the header."""
    for name, value in wanted.items():
        if value:
            headers[name] = value
        elif name in headers:
            del headers[name]
