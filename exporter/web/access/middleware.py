"""What stands before every answer: the rate limit, the password, and the headers that the operator set."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from exporter.web.access.basic_auth import AuthResult, BasicAuth
from exporter.web.connection_limits import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Protocol

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from exporter.web.access.settings import RateLimit, WebSettings

    class Rules(Protocol):
        """What a request is held to."""

        @property
        def settings(self) -> WebSettings:
            """The web configuration."""
            ...


# An orchestrator has no password, and must not take a crowd of others for an exporter that is ill.
OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})
# Of every answer that is ours; what the operator sets in the web configuration goes before.
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:;"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
_CHALLENGE: Final = 'Basic realm="aliyun-vod-exporter", charset="UTF-8"'


def with_access_control(
    app: ASGIApp,
    rules: Callable[[], Awaitable[Rules]],
    *,
    prefix: str = "",
    basic_auth: BasicAuth | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """Put the guard before an application whose paths begin with `prefix`; it asks for the rules at every request."""
    open_paths = frozenset(f"{prefix}{path}" for path in OPEN_PATHS)
    guard = _AccessControl(app, rules, open_paths, basic_auth or BasicAuth(), monotonic)
    return guard.answer


class _AccessControl:
    def __init__(
        self,
        app: ASGIApp,
        rules: Callable[[], Awaitable[Rules]],
        open_paths: frozenset[str],
        basic_auth: BasicAuth,
        monotonic: Callable[[], float],
    ) -> None:
        self._app = app
        self._rules = rules
        self._open_paths = open_paths
        self._basic_auth = basic_auth
        self._monotonic = monotonic
        self._limit: RateLimit | None = None
        self._bucket: TokenBucket | None = None

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = (await self._rules()).settings

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _set(MutableHeaders(scope=message), settings.headers)
            await send(message)

        app = self._app if scope["path"] in self._open_paths else (await self._refusal(scope, settings) or self._app)
        await app(scope, receive, with_headers)

    async def _refusal(self, scope: Scope, settings: WebSettings) -> ASGIApp | None:
        limit = settings.rate_limit
        if limit != self._limit:
            self._limit = limit
            self._bucket = TokenBucket(limit.interval, limit.burst, self._monotonic) if limit else None
        if limit and self._bucket and not self._bucket.take():
            return _refused(429, "Too many requests.", {"Retry-After": str(math.ceil(limit.interval))})
        if not settings.users:
            return None
        authorization = Headers(scope=scope).get("authorization")
        address, _ = scope.get("client") or ("", 0)
        verdict = await self._basic_auth.check(settings.users, authorization, address)
        if verdict is AuthResult.BUSY:
            return _refused(503, "Too many passwords to check.", {"Retry-After": "1"})
        if verdict is AuthResult.REFUSED:
            return _refused(401, "Unauthorized: a user name and password are needed.", {"WWW-Authenticate": _CHALLENGE})
        return None


def _refused(status: int, text: str, headers: Mapping[str, str]) -> ASGIApp:
    return PlainTextResponse(f"{text}\n", status_code=status, headers={**HEADERS, **headers})


def _set(headers: MutableHeaders, wanted: Mapping[str, str]) -> None:
    """What the operator said goes before what we would say; nothing said is nothing sent."""
    for name, value in wanted.items():
        if value:
            headers[name] = value
        elif name in headers:
            del headers[name]
